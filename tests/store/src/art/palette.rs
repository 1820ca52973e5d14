//! Colours by name, and the five that a product is printed in.

/// Red, green, blue in sRGB.
pub(crate) type Rgb = [u8; 3];

pub(crate) const PAPER: Rgb = [250, 245, 232];
pub(crate) const WHITE: Rgb = [255, 255, 255];
pub(crate) const BLACK: Rgb = [18, 18, 22];

const NAMED: [(&str, Rgb); 26] = [
    ("crimson", [200, 29, 52]),
    ("brick", [178, 74, 46]),
    ("coral", [247, 111, 92]),
    ("tangerine", [247, 127, 23]),
    ("amber", [245, 176, 30]),
    ("lemon", [250, 219, 66]),
    ("lime", [157, 197, 45]),
    ("olive", [114, 121, 48]),
    ("forest", [27, 94, 60]),
    ("mint", [138, 214, 181]),
    ("teal", [15, 128, 131]),
    ("sky", [92, 182, 232]),
    ("cobalt", [34, 86, 196]),
    ("navy", [23, 37, 84]),
    ("violet", [108, 72, 187]),
    ("plum", [112, 32, 91]),
    ("magenta", [207, 38, 122]),
    ("rose", [244, 165, 180]),
    ("lilac", [190, 166, 227]),
    ("cocoa", [92, 55, 38]),
    ("caramel", [193, 127, 66]),
    ("sand", [224, 201, 160]),
    ("cream", [247, 236, 208]),
    ("white", [244, 244, 240]),
    ("slate", [94, 110, 125]),
    ("charcoal", [42, 43, 50]),
];

/// The colour of that name. Panics for a name that the table lacks: names are constants here.
pub(crate) fn named(name: &str) -> Rgb {
    let found = NAMED.iter().find(|(known, _)| *known == name);
    found
        .unwrap_or_else(|| panic!("no colour is called {name:?}"))
        .1
}

/// `a` at `t = 0`, `b` at `t = 1`.
pub(crate) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|i| (f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * t) as u8)
}

/// Perceived brightness from 0 to 1 (Rec. 601 luma).
pub(crate) fn luma(c: Rgb) -> f32 {
    (0.299 * f32::from(c[0]) + 0.587 * f32::from(c[1]) + 0.114 * f32::from(c[2])) / 255.0
}

/// What a product is printed in. Near twins differ in `ground` and agree in `second`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) ground: Rgb,
    pub(crate) second: Rgb,
    pub(crate) paper: Rgb,
    pub(crate) dark: Rgb,
}

impl Palette {
    pub(crate) fn new(ground: &str, second: &str) -> Self {
        let (ground, second) = (named(ground), named(second));
        Self {
            ground,
            second,
            paper: PAPER,
            dark: mix(ground, BLACK, 0.72),
        }
    }

    /// A shade of the ground that shows on it, for patterns.
    pub(crate) fn tone(&self) -> Rgb {
        if luma(self.ground) > 0.6 {
            mix(self.ground, self.dark, 0.16)
        } else {
            mix(self.ground, WHITE, 0.16)
        }
    }

    /// Lettering that is legible on `under`.
    pub(crate) fn ink_on(&self, under: Rgb) -> Rgb {
        if luma(under) > 0.55 {
            self.dark
        } else {
            self.paper
        }
    }

    /// The second colour, or paper where the second would vanish on `under`.
    pub(crate) fn accent_on(&self, under: Rgb) -> Rgb {
        let distance = |c: Rgb| {
            (0..3)
                .map(|i| u32::from(c[i].abs_diff(under[i])))
                .sum::<u32>()
        };
        if distance(self.second) > 150 {
            self.second
        } else {
            self.ink_on(under)
        }
    }
}
