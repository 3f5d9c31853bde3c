//! A grammar on its way through one generation.

use llguidance::Matcher;

use super::{ConstraintError, screen};
use crate::sampling::TokenMask;

/// Where a token took the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may follow.
    Open,
    /// The output is complete: the generation stops with this token.
    Complete,
}

/// The grammar of one generation, as far as its output has come.
pub struct ConstraintState {
    matcher: Matcher,
    /// The whole output is one JSON value.
    json: bool,
    /// What may come next, where that is known already.
    next: Option<TokenMask>,
}

impl ConstraintState {
    /// Begins; refused where no token may come first.
    pub(super) fn start(mut matcher: Matcher, json: bool) -> Result<Self, ConstraintError> {
        let first = matcher.compute_mask().map_err(|error| {
            ConstraintError::Refused(format!("nothing fits it, or it is too complex ({})", screen::first_line(&error)))
        })?;
        Ok(Self { matcher, json, next: Some(TokenMask::new(first.into())) })
    }

    /// The tokens that may come next: once the grammar is complete, only those that end a text (none where the model has
    /// none). Costs about a millisecond for a large vocabulary, within [`super::limits`].
    pub fn mask(&mut self) -> Result<TokenMask, ConstraintError> {
        if let Some(mask) = self.next.take() {
            return Ok(mask);
        }
        let allowed = self.matcher.compute_mask_or_eos().map_err(step)?;
        Ok(TokenMask::new(allowed.into()))
    }

    /// Takes the token that was chosen. JSON is complete as soon as its value is: no model is waited for to say so.
    pub fn accept(&mut self, id: u32) -> Result<Progress, ConstraintError> {
        self.next = None;
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            // Only an ending token can be meant.
            return Ok(Progress::Complete);
        }
        let taken = self.matcher.try_consume_tokens(&[id]).map_err(step)?;
        if taken == 0 {
            return Err(ConstraintError::NotAllowed(id));
        }
        if self.matcher.is_stopped() || self.json && self.value_is_closed(id)? {
            return Ok(Progress::Complete);
        }
        Ok(Progress::Open)
    }

    /// Goes on after tokens that were chosen elsewhere, each of which must be allowed and leave room for more.
    pub fn after(mut self, produced: &[u32]) -> Result<Self, ConstraintError> {
        for (index, id) in produced.iter().copied().enumerate() {
            match self.accept(id) {
                Ok(Progress::Open) => {}
                Ok(Progress::Complete) => return Err(ConstraintError::Finished { index }),
                Err(ConstraintError::NotAllowed(id)) => return Err(ConstraintError::NotProduced { index, id }),
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }

    /// Whether the output could end here and its last token closes an object, an array or a string, so that nothing but
    /// white space could follow. (A number could still grow.)
    fn value_is_closed(&mut self, id: u32) -> Result<bool, ConstraintError> {
        let environment = self.matcher.tok_env().map_err(step)?;
        let closes = matches!(environment.tok_trie().token(id).last(), Some(b'}' | b']' | b'"'));
        Ok(closes && self.matcher.is_accepting().map_err(step)?)
    }
}

fn step(error: impl std::fmt::Display) -> ConstraintError {
    ConstraintError::Step(screen::first_line(&error))
}

impl std::fmt::Debug for ConstraintState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConstraintState({:?})", self.matcher.stop_reason())
    }
}
