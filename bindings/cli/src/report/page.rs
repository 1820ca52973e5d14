//! The page's structure; its looks are in `style.css`.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{HitCard, QueryCard, Report, SetsPage, Told, data_url};

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report) -> Markup {
    let index = &report.index;
    let body = html! {
        header {
            h1 { (report.title) }
            p { (report.subtitle) }
            dl.tiles {
                @for (label, value) in &report.summary {
                    div { dt { (label) } dd { (value) } }
                }
                div { dt { "items" } dd { (index.items) } }
                div { dt { "descriptor" } dd { (index.dim) " × int8" } }
                div { dt { "index" } dd { (index.bytes.div_ceil(1024)) " KiB" } }
            }
            p.model { "bundle " (index.bundle) ", fingerprint " code { (index.fingerprint) } }
        }
        main { @for query in &report.queries { (query_card(query)) } }
    };
    document(&report.title, &body)
}

pub(super) fn sets(page: &SetsPage) -> Markup {
    let body = html! {
        header { h1 { (page.title) } p { (page.subtitle) } }
        main {
            @for (heading, sets) in &page.sections {
                h2 { (heading) }
                @for set in sets {
                    section.set {
                        ol.hits {
                            @for (name, jpeg) in set {
                                li {
                                    @match jpeg {
                                        Some(jpeg) => img src=(data_url(jpeg)) alt=(name) loading="lazy";,
                                        None => div.blank { "no picture" },
                                    }
                                    p.detail { (name) }
                                }
                            }
                        }
                    }
                }
                @if sets.is_empty() { p { "none" } }
            }
        }
    };
    document(&page.title, &body)
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

fn query_card(query: &QueryCard) -> Markup {
    html! {
        article {
            section.query {
                @match &query.thumbnail {
                    Some(jpeg) => img src=(data_url(jpeg)) alt={ "query " (query.name) };,
                    None => div.blank { "no picture" },
                }
                h2 { (query.name) }
                @match &query.error {
                    Some(reason) => p.error { (reason) },
                    None => (told(query)),
                }
            }
            @if query.error.is_none() {
                div.rows {
                    @for row in &query.rows {
                        @if let Some(heading) = &row.heading { h3.heading { (heading) } }
                        ol.hits { @for hit in &row.hits { (hit_card(hit)) } }
                    }
                }
                p.times {
                    @for (stage, ms) in &query.timings_ms {
                        span { (stage) " " b { (format!("{ms:.1}")) " ms" } }
                    }
                }
            }
        }
    }
}

fn told(query: &QueryCard) -> Markup {
    html! {
        @if let Some(told) = &query.told { (verdict(told)) }
        @if let Some(truth) = &query.truth {
            p.truth {
                @if truth.right { b.right { "✓ right" } } @else { b.wrong { "✕ wrong" } }
                @match &truth.expected {
                    Some(key) => { ", it is " code { (key) } },
                    None => ", it is not in the index",
                }
            }
        }
        @for (label, value) in &query.facts { p { (label) " " b { (value) } } }
    }
}

fn verdict(told: &Told) -> Markup {
    let (icon, word) = match told.verdict {
        "match" => ("✓", "match"),
        "no_match" => ("✕", "no match"),
        _ => ("?", "unsure"),
    };
    html! {
        p {
            span.badge.(told.verdict) { (icon) " " (word) }
            " " (format!("{:.0} %", 100.0 * told.confidence)) " sure"
        }
    }
}

fn hit_card(hit: &HitCard) -> Markup {
    let width = format!("width:{:.0}%", 100.0 * hit.score.clamp(0.0, 1.0));
    html! {
        li.correct[hit.correct == Some(true)] {
            @match &hit.thumbnail {
                Some(jpeg) => img src=(data_url(jpeg)) alt=(hit.title) loading="lazy";,
                None => div.blank { "no picture" },
            }
            @if let Some(jpeg) = &hit.heat {
                img.heat src=(data_url(jpeg)) alt="warm where the photo is like it" title="where the photo is like it"
                    loading="lazy";
            }
            h3 { @if let Some(rank) = hit.rank { span.rank { (rank) } " " } (hit.title) @if hit.correct == Some(true) { " ✓" } }
            div.bar aria-hidden="true" { div style=(width) {} }
            p.score { (format!("{:.3}", hit.score)) }
            @if hit.title != hit.key { p.detail { (hit.key) } }
            @if hit.group != hit.key { p.detail { "group " (hit.group) } }
            @for (name, value) in &hit.payload { p.detail { (name) ": " (value) } }
        }
    }
}
