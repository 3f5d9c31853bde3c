//! Records as rows.

mod advert;
mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{forget_oldest, write};
