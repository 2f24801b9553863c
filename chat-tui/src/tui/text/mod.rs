//! ★ Text as terminal cells: what a grapheme is drawn as, how wide it is, how lines break.

mod code;
mod emphasis;
mod fuzzy;
mod glyph;
mod link;
mod wrap;

pub use code::{is_code, wrap_message};
pub use emphasis::{Emphasis, emphases};
pub use fuzzy::ranked;
pub use glyph::{columns, drawn, fit, glyph, graphemes};
pub use link::links;
pub use wrap::{Row, wrap};
