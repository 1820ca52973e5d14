//! An input of several named parts, as text that a person can edit: a line `@@ name` (four bytes) begins each, a
//! line break that is none of its bytes ends it. What is cut out of or put into one part leaves the others as they are.

const MARK: &[u8] = b"@@ ";

/// The parts in their order; bytes before the first are left out.
pub fn split(bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let is_mark = |at: &usize| {
        let line = bytes.get(*at..*at + MARK.len() + 5).unwrap_or_default();
        line.starts_with(MARK) && line.ends_with(b"\n") && (*at == 0 || bytes[at - 1] == b'\n')
    };
    let marks: Vec<usize> = (0..bytes.len()).filter(is_mark).collect();
    let ends = marks.iter().skip(1).map(|next| next - 1);
    let ends = ends.chain([bytes.strip_suffix(b"\n").unwrap_or(bytes).len()]);
    let part = |(&mark, end): (&usize, usize)| {
        let start = mark + MARK.len() + 5;
        let name = &bytes[start - 5..start - 1];
        // Two marks may share a line break.
        let content = &bytes[start..end.max(start)];
        ([0, 1, 2, 3].map(|at| name[at]), content)
    };
    marks.iter().zip(ends).map(part).collect()
}

/// The first part of this name; nothing where there is none.
pub fn first<'a>(parts: &[([u8; 4], &'a [u8])], name: &[u8; 4]) -> &'a [u8] {
    let found = parts.iter().find(|(found, _)| found == name);
    found.map_or(&[], |(_, bytes)| bytes)
}
