//! Remembering the latest of many.

use std::collections::VecDeque;
use std::sync::Mutex;

use computepool_core::GenerationId;

use crate::shared::lock;

/// The generations noted last, up to a number.
pub(crate) struct Recent {
    noted: Mutex<VecDeque<GenerationId>>,
    most: usize,
}

impl Recent {
    pub(crate) fn new(most: usize) -> Self {
        Self { noted: Mutex::default(), most }
    }

    pub(crate) fn note(&self, generation: GenerationId) {
        let mut noted = lock(&self.noted);
        if noted.len() >= self.most {
            noted.pop_front();
        }
        noted.push_back(generation);
    }

    pub(crate) fn knows(&self, generation: GenerationId) -> bool {
        lock(&self.noted).contains(&generation)
    }
}
