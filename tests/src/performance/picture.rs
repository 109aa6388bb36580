//! A table as horizontal bars, in SVG.

use std::fmt::Write as _;

use super::report::Row;

/// Widths and heights in pixels.
const LABELS: f64 = 330.0;
const BARS: f64 = 400.0;
const VALUES: f64 = 110.0;
const LINE: f64 = 26.0;
const TITLE: f64 = 34.0;

/// Draws the rows; ours, whose names begin with `bascule`, stand out.
pub(super) fn bars(title: &str, unit: &str, rows: &[Row]) -> String {
    let (width, height) = (LABELS + BARS + VALUES, TITLE + LINE * rows.len() as f64 + 8.0);
    let most = rows.iter().map(|row| row.value).fold(0.0, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    for (number, row) in rows.iter().enumerate() {
        let top = TITLE + LINE * number as f64;
        let (text, length) = (top + 17.0, BARS * row.value / most.max(f64::MIN_POSITIVE));
        let colour = if row.name.starts_with("bascule") { "#2563a8" } else { "#b8bcc4" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABELS}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{:.1} {unit}</text>",
            LABELS - 8.0,
            escaped(&row.name),
            top + 4.0,
            LINE - 8.0,
            LABELS + length + 6.0,
            row.value
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_has_the_whole_width_and_names_are_text() {
        let row = |name: &str, value| Row { name: name.to_owned(), value, cells: Vec::new() };
        let svg = bars("a < b", "MB", &[row("bascule", 10.0), row("others & more", 40.0)]);
        assert!(svg.contains("a &lt; b") && svg.contains("others &amp; more"));
        assert!(svg.contains("width=\"100.0\" height=\"18\" fill=\"#2563a8\""));
        assert!(svg.contains("width=\"400.0\" height=\"18\" fill=\"#b8bcc4\""));
    }
}
