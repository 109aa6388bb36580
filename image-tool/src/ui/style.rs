//! The few colours: good, bad, attention, names, and what may be skipped.

use std::fmt::Display;

use anstyle::{AnsiColor, Effects, Style};

fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}

/// A heading or a name that the eye should find.
pub(crate) fn strong(text: impl Display) -> String {
    paint(Style::new().effects(Effects::BOLD), text)
}

/// Secondary detail.
pub(crate) fn dim(text: impl Display) -> String {
    paint(Style::new().effects(Effects::DIMMED), text)
}

/// As it should be; added.
pub(crate) fn good(text: impl Display) -> String {
    paint(color(AnsiColor::Green), text)
}

/// Wrong; removed.
pub(crate) fn bad(text: impl Display) -> String {
    paint(color(AnsiColor::Red).effects(Effects::BOLD), text)
}

/// To be looked at; changed.
pub(crate) fn warn(text: impl Display) -> String {
    paint(color(AnsiColor::Yellow), text)
}

/// Number of columns that `text` takes on a terminal: escape sequences count nothing.
pub(crate) fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}
