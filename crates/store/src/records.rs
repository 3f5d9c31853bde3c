//! Records as rows.

mod advert;
mod ledger;
mod read;
mod write;

pub(crate) use ledger::{append, page, unconcluded};
pub(crate) use read::read;
pub(crate) use write::{forget_oldest, write};
