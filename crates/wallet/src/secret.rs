//! What must not be shown, kept or copied by accident.

use std::fmt;

use zeroize::Zeroize;

/// A value that is wiped when it is dropped, has no text form and cannot be serialized.
///
/// There is no `Clone` either: every further copy of a secret is a decision, made with [`Secret::expose`].
pub struct Secret<T: Zeroize>(T);

/// What a person types to open a keystore.
pub type Passphrase = Secret<String>;

impl<T: Zeroize> Secret<T> {
    /// Takes charge of a secret.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret itself. Whoever calls this answers for what becomes of it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<&str> for Passphrase {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Watched(Arc<AtomicBool>);

    impl Zeroize for Watched {
        fn zeroize(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_secret_is_wiped_when_dropped_and_never_shown() {
        let wiped = Arc::new(AtomicBool::new(false));
        let secret = Secret::new(Watched(wiped.clone()));
        assert!(!wiped.load(Ordering::Relaxed));
        drop(secret);
        assert!(wiped.load(Ordering::Relaxed));
        let passphrase = Passphrase::from("open sesame");
        assert_eq!(format!("{:?}", Some(passphrase)), "Some(Secret(…))");
    }
}
