//! What the documents claim is true: objects in them are valid, links lead somewhere, and what they
//! name exists. Whoever renames a flag, a metric or a file finds out here which text to correct.

mod budgets;
mod markdown;
mod names;
mod objects;
mod places;
