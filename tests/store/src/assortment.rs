//! What the store sells, and what it does not: invented brands, in lines of near twins that share
//! layout, pattern and emblem and differ in flavour and colour.

use crate::art::emblem::Emblem::{self, *};
use crate::art::layout::{Design, Layout};
use crate::art::palette::Palette;
use crate::art::pattern::Pattern;
use crate::solid::product::Kind;

/// Products that differ by their flavour only.
pub(crate) struct Line {
    pub(crate) kind: Kind,
    brand: &'static str,
    name: &'static str,
    note: &'static str,
    /// In cents.
    price: u32,
    layout: Layout,
    pattern: Pattern,
    emblem: Emblem,
    second: &'static str,
    variants: &'static [Variant],
}

/// Flavour or title, the ground colour, and what is drawn for it.
type Variant = (&'static str, &'static str, Emblem);

/// A product before it is drawn.
pub(crate) struct Article {
    pub(crate) key: String,
    pub(crate) group: String,
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) price: u32,
    pub(crate) colour: &'static str,
    pub(crate) design: Design,
}

impl Line {
    pub(crate) fn articles(&self) -> impl Iterator<Item = Article> {
        let group = slug(&[self.brand, self.name]);
        self.variants
            .iter()
            .map(move |&(word, colour, flavour)| Article {
                key: slug(&[self.brand, self.name, word]),
                title: format!("{} {} {word}", self.brand, self.name),
                kind: self.kind,
                price: self.price,
                colour,
                design: Design {
                    brand: self.brand,
                    name: self.name,
                    word,
                    note: self.note,
                    palette: Palette::new(colour, self.second),
                    pattern: self.pattern,
                    emblem: self.emblem,
                    flavour,
                    layout: self.layout,
                    // A line of single works (covers, posters) gets a design each.
                    seed: seed(if self.single() { word } else { &group }),
                },
                group: group.clone(),
            })
    }

    fn single(&self) -> bool {
        matches!(self.kind, Kind::Book | Kind::Record | Kind::Poster)
    }
}

fn slug(words: &[&str]) -> String {
    words
        .join(" ")
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

/// FNV-1a.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

macro_rules! lines {
    ($($kind:ident $brand:literal $name:literal $note:literal $price:literal $layout:ident
       $pattern:ident $emblem:ident $second:literal: $($variant:expr),+;)+) => {
        &[$(Line {
            kind: Kind::$kind, brand: $brand, name: $name, note: $note, price: $price,
            layout: Layout::$layout, pattern: Pattern::$pattern, emblem: $emblem,
            second: $second, variants: &[$($variant),+],
        }),+]
    };
}

/// Sold here.
pub(crate) const STOCK: &[Line] = lines! {
    Cereal "Solara" "Crunch" "375 g" 349 Loud Sunburst Sun "amber":
        ("Honey", "tangerine", Bee), ("Berry", "magenta", Berry), ("Cocoa", "cocoa", Bean), ("Apple", "lime", Apple);
    Cereal "Orbit" "Loops" "420 g" 399 Loud Confetti Rocket "lemon":
        ("Galaxy", "navy", Rocket), ("Comet", "teal", Star), ("Lunar", "violet", Moon);
    Cereal "Fjordfeld" "Muesli" "500 g" 459 Split Waves Wheat "forest":
        ("Wildberry", "lilac", Berry), ("Orchard", "sand", Apple), ("Harvest", "caramel", Wheat);
    Tea "Tamarin" "Teehaus" "20 bags" 295 Plate Leaves Leaf "amber":
        ("Earl Grey", "cobalt", Crown), ("Sencha", "forest", Leaf), ("Rooibos", "brick", Sun), ("Chamomile", "lemon", Flower);
    Tea "Nimbus" "Infusions" "16 sachets" 375 Seal Scales Moon "coral":
        ("Good Night", "navy", Moon), ("Clear Day", "sky", Sun), ("Garden", "mint", Flower);
    Book "Harbour Press" "a novel" "2nd ed." 1490 Landscape Waves Boat "coral":
        ("Low Tide", "teal", Boat), ("The Lantern Keeper", "navy", Moon), ("Salt Road", "amber", Bird);
    Book "Ordinal" "essays" "No. 12" 1200 Swiss Plain Eye "crimson":
        ("On Paper", "lemon", Eye), ("Of Glass", "sky", Eye), ("At Sea", "cream", Eye);
    Book "Kitebird" "for children" "age 4+" 1195 Loud Dots Bird "lemon":
        ("Mia", "sky", Cat), ("Otto", "coral", Fish), ("Pip", "lime", Bird);
    Record "Velvet Pylon" "LP" "33 rpm" 2490 Rings Plain Note "coral":
        ("Afterglow", "navy", Sun), ("Slow Radio", "sand", Note), ("Undertow", "teal", Wave);
    Record "Kantor & Lys" "trio" "33 rpm" 2290 Bauhaus Plain Note "crimson":
        ("Etudes", "cobalt", Note), ("Nocturnes", "plum", Moon), ("Preludes", "amber", Sun);
    Record "Mojave Choir" "live" "33 rpm" 2690 Landscape Triangles Peak "lemon":
        ("Dust", "brick", Sun), ("Mesa", "violet", Star);
    Poster "Nordtind" "visit the mountains" "A2" 1900 Landscape Triangles Peak "coral":
        ("Rondane", "sky", Pine), ("Svartisen", "navy", Peak), ("Lofoten", "mint", Boat);
    Poster "Formsaal" "exhibition" "A2" 1700 Bauhaus Plain Eye "cobalt":
        ("Kreis", "crimson", Eye), ("Quadrat", "amber", Eye), ("Linie", "forest", Eye);
    Chocolate "Amande" "Chocolat" "100 g" 289 Plate Lattice Bean "caramel":
        ("Noir", "charcoal", Bean), ("Lait", "cocoa", Heart), ("Orange", "tangerine", Citrus), ("Menthe", "mint", Leaf);
    Can "Zest" "sparkling" "330 ml" 129 Split Dots Citrus "lemon":
        ("Grapefruit", "coral", Citrus), ("Limette", "lime", Citrus), ("Cherry", "crimson", Cherry), ("Blueberry", "cobalt", Berry);
    Can "Voltage" "energy" "250 ml" 159 Bands Chevrons Bolt "lemon":
        ("Original", "charcoal", Bolt), ("Arctic", "sky", Star), ("Mango", "tangerine", Sun);
    Can "Konserva" "sardines" "125 g" 379 Grid Plain Fish "amber":
        ("Olive Oil", "olive", Leaf), ("Chili", "crimson", Sun), ("Lemon", "teal", Citrus);
    Bottle "Quellgrund" "lemonade" "0.5 l" 189 Seal Stripes Flower "mint":
        ("Elder", "lilac", Flower), ("Ginger", "amber", Bee), ("Rhubarb", "rose", Leaf);
    Bottle "Old Harbour" "brewery" "0.33 l" 219 Plate Lattice Boat "amber":
        ("Pale Ale", "sky", Boat), ("Stout", "charcoal", Bean), ("Red Ale", "brick", Crown);
    Jar "Oma Lotte" "jam" "340 g" 329 Plate Checks Cherry "crimson":
        ("Strawberry", "rose", Berry), ("Cherry", "plum", Cherry), ("Apricot", "amber", Apple);
    Jar "Bienenwald" "honey" "500 g" 599 Seal Lattice Bee "charcoal":
        ("Acacia", "lemon", Bee), ("Forest", "caramel", Pine), ("Clover", "lime", Leaf);
    Pouch "Altiplano" "coffee" "250 g" 699 Split Triangles Peak "tangerine":
        ("Peru", "forest", Peak), ("Ethiopia", "crimson", Sun), ("Sumatra", "navy", Bird), ("Decaf", "slate", Moon);
    Pouch "Papa Krispy" "chips" "175 g" 199 Loud Stripes Sun "lemon":
        ("Paprika", "crimson", Sun), ("Sea Salt", "sky", Wave), ("Sour Cream", "forest", Leaf);
    Mug "Studio Ito" "stoneware" "0.3 l" 1650 Grid Plain Fish "coral":
        ("Garden", "forest", Flower), ("Harbour", "navy", Fish), ("Meadow", "amber", Bee);
    Mug "Katzenpfote" "mug" "0.35 l" 1290 Rings Plain Cat "lemon":
        ("Minka", "rose", Cat), ("Felix", "slate", Cat);
    Sneaker "Stride" "runner" "42" 8900 Grid Chevrons Bolt "lemon":
        ("Volt", "charcoal", Bolt), ("Lagoon", "teal", Bolt), ("Ember", "crimson", Bolt);
    Sneaker "Palmetto" "canvas" "41" 5900 Grid Leaves Leaf "coral":
        ("Fern", "forest", Leaf), ("Sky", "sky", Leaf), ("Sand", "sand", Leaf);
};

/// Not sold here: the camera meets them all the same.
pub(crate) const ELSEWHERE: &[Line] = lines! {
    Cereal "Granola Bros" "Oats" "450 g" 379 Bands Checks Wheat "sky": ("Maple", "brick", Leaf), ("Nutty", "olive", Bean);
    Tea "Pagoda" "Leaf Tea" "100 g" 420 Rings Plain Leaf "crimson": ("Oolong", "teal", Leaf);
    Book "Meridian" "a thriller" "1st ed." 990 Rings Plain Eye "amber": ("The Ninth Hour", "charcoal", Eye), ("Cold Signal", "slate", Bolt);
    Record "Paper Lions" "EP" "45 rpm" 1490 Grid Plain Crown "magenta": ("Roar", "sky", Crown);
    Record "Duo Anselm" "sonatas" "33 rpm" 2190 Swiss Plain Note "teal": ("In Winter", "rose", Note);
    Poster "Cine Lumen" "film week" "A2" 1500 Rings Plain Star "lemon": ("Retrospective", "plum", Star);
    Chocolate "Kakaohof" "Schokolade" "80 g" 249 Split Dots Heart "rose": ("Himbeer", "cream", Berry);
    Can "Brava" "cola" "330 ml" 99 Seal Bars Star "white": ("Classic", "crimson", Star), ("Zero", "navy", Star);
    Bottle "Monte Sereno" "olive oil" "0.5 l" 990 Landscape Plain Leaf "olive": ("Extra Virgin", "sand", Leaf);
    Jar "Gurkenkoenig" "pickles" "670 g" 249 Bands Waves Leaf "lemon": ("Dill", "forest", Leaf);
    Pouch "Tierra" "trail mix" "200 g" 449 Seal Confetti Pine "cream": ("Summit", "violet", Peak);
    Mug "Norrland" "enamel" "0.4 l" 1450 Landscape Triangles Pine "amber": ("Taiga", "brick", Pine);
    Sneaker "Metro" "court" "43" 7400 Grid Plain Star "crimson": ("Classic", "white", Star), ("Night", "navy", Star);
};
