//! The recipes for public networks in `models/recipes` are recipes.

use std::path::Path;

use pocketlens::descriptor::Recipe;

#[test]
fn recipes_of_public_networks_give_256_components() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/recipes");
    let mut count = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let recipe: Recipe = serde_json::from_str(&text).unwrap();
        recipe.check().unwrap();
        assert_eq!(
            (recipe.dim(), recipe.taps().len()),
            (256, 3),
            "{}",
            path.display()
        );
        count += 1;
    }
    assert_eq!(count, 7);
}
