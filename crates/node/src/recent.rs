//! Remembering the latest of many.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::shared::lock;

/// The ids noted last, up to a number.
pub(crate) struct Recent<T> {
    noted: Mutex<VecDeque<T>>,
    most: usize,
}

impl<T: PartialEq> Recent<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { noted: Mutex::default(), most }
    }

    pub(crate) fn note(&self, id: T) {
        let mut noted = lock(&self.noted);
        if noted.len() >= self.most {
            noted.pop_front();
        }
        noted.push_back(id);
    }

    pub(crate) fn knows(&self, id: T) -> bool {
        lock(&self.noted).contains(&id)
    }
}
