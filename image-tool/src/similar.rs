//! "Did you mean": the known names nearest to an unknown one.

/// Names offered at most.
const MAX: usize = 3;

/// Up to three of `known` that look like `wanted`, the best first.
pub(crate) fn similar(wanted: &str, known: impl IntoIterator<Item = String>) -> Vec<String> {
    let head = |text: &str| text.split(['@', '-']).next().unwrap_or_default().to_owned();
    let rank = |name: String| {
        let distance = distance(wanted, &name);
        let near = distance <= 2.max(wanted.chars().count() / 3);
        (near || head(wanted) == head(&name)).then_some((distance, name))
    };
    let mut ranked: Vec<(usize, String)> = known.into_iter().filter_map(rank).collect();
    ranked.sort();
    ranked.into_iter().take(MAX).map(|(_, name)| name).collect()
}

/// `; did you mean a, b?`, or what there is, or nothing.
pub(crate) fn hint(wanted: &str, known: impl IntoIterator<Item = String>) -> String {
    let known: Vec<String> = known.into_iter().collect();
    if known.is_empty() {
        return "; there is none yet".to_owned();
    }
    match similar(wanted, known.iter().cloned()).as_slice() {
        [] => format!("; there is {}", known.iter().take(MAX).cloned().collect::<Vec<_>>().join(", ")),
        names => format!("; did you mean {}?", names.join(", ")),
    }
}

/// Number of single-character edits between two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let known = || ["ha@1", "ha@2", "base@1", "kerrighed@1"].map(str::to_owned);
        assert_eq!(similar("ha@3", known()), ["ha@1", "ha@2"]);
        assert_eq!(similar("basse@1", known()), ["base@1"]);
        assert_eq!(similar("zzzzzz@9", known()), Vec::<String>::new());
        assert_eq!(hint("zzzzzz@9", known()), "; there is ha@1, ha@2, base@1");
        assert_eq!(hint("x", []), "; there is none yet");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
