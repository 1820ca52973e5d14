//! A sneaker from its side, drawn from curves: sole, upper, toe cap, stripe, laces.

use super::canvas::{Canvas, circle, polyline, rectangle, svg};
use super::emblem::Inks;
use super::layout::Design;
use super::lettering::{Align, Face};
use super::palette::{WHITE, mix};
use super::pattern::Pattern;

const UPPER: &str = "M .06 .78 C .05 .6 .09 .42 .07 .22 C .14 .2 .2 .26 .27 .25 C .31 .24 .33 .17 .38 .15 \
    C .46 .3 .56 .4 .68 .5 C .8 .56 .93 .6 .95 .78 Z";
const SOLE: &str =
    "M .045 .76 L .955 .76 C .99 .78 .985 .92 .94 .94 L .09 .94 C .03 .94 .02 .84 .045 .76 Z";
const CAP: &str = "M .76 .78 C .76 .66 .79 .58 .83 .565 C .9 .6 .945 .66 .95 .78 Z";
const HEEL: &str =
    "M .06 .78 C .05 .6 .09 .42 .07 .22 C .1 .21 .13 .22 .16 .235 C .2 .45 .2 .6 .19 .78 Z";
const TONGUE: &str = "M .3 .24 C .32 .12 .36 .04 .43 .03 C .46 .1 .45 .2 .47 .3 L .4 .34 Z";
const STRIPE: &str = "M .25 .76 C .36 .66 .44 .55 .47 .38 L .53 .42 C .52 .56 .46 .68 .38 .76 Z";
const SECOND: &str = "M .43 .76 C .52 .68 .57 .58 .58 .46 L .63 .49 C .63 .6 .59 .7 .53 .76 Z";

/// Paints the shoe on transparency; toe to the right.
pub(crate) fn paint(design: &Design, width: u32, height: u32) -> Canvas {
    let p = &design.palette;
    // The pattern lies in the shape of the upper only.
    let mut canvas = Canvas::new(width, height);
    let (w, h) = (canvas.width(), canvas.height());
    let stretch = tiny_skia::Transform::from_scale(w, h);
    let place = |notation: &str| svg(notation).transform(stretch).expect("finite outline");
    let upper = place(UPPER);
    let c = &mut canvas;
    c.fill(&place(TONGUE), mix(p.ground, p.dark, 0.35));
    c.inside(&upper, |c| {
        if design.pattern == Pattern::Plain {
            c.fill(&rectangle(0.0, 0.0, w, h), p.ground);
        } else {
            design.ground(c);
        }
    });
    c.inside(&upper, |c| {
        c.tint(&place("M 0 .6 L 1 .6 L 1 .8 L 0 .8 Z"), p.dark, 0.12);
    });
    let accent = p.accent_on(p.ground);
    c.fill(&place(HEEL), accent);
    c.fill(&place(STRIPE), accent);
    c.fill(&place(SECOND), accent);
    c.fill(&place(CAP), mix(p.paper, p.ground, 0.08));
    c.stroke(&upper, mix(p.ground, p.dark, 0.5), 0.006 * w);
    c.fill(&place(SOLE), p.paper);
    c.fill(&place("M .04 .9 L .955 .9 L .94 .94 L .09 .94 Z"), p.second);
    for i in 0..26 {
        let x = (0.08 + 0.034 * i as f32) * w;
        c.stroke_tint(
            &polyline([(x, 0.865 * h), (x, 0.9 * h)]),
            p.dark,
            0.004 * w,
            0.35,
        );
    }
    for i in 0..5 {
        let t = i as f32 / 4.0;
        let (x, y) = ((0.41 + 0.23 * t) * w, (0.24 + 0.22 * t) * h);
        let lace = polyline([(x, y), (x - 0.05 * w, y + 0.11 * h)]);
        c.stroke(&lace, mix(p.dark, p.ground, 0.3), 0.024 * w);
        c.stroke(&lace, WHITE, 0.016 * w);
        c.fill(&circle(x - 0.05 * w, y + 0.11 * h, 0.009 * w), p.dark);
    }
    c.fill(&circle(0.125 * w, 0.42 * h, 0.05 * w), p.paper);
    let inks = Inks {
        main: p.second,
        accent: p.dark,
        light: p.paper,
        dark: p.dark,
    };
    design
        .emblem
        .draw(c, (0.125 * w, 0.42 * h), 0.038 * w, inks);
    c.letters(
        design.brand,
        Face::POSTER,
        (0.56 * w, 0.79 * h, 0.3 * w, 0.07 * h),
        Align::Centre,
        mix(p.dark, p.paper, 0.2),
    );
    canvas
}
