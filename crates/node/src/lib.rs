//! One operator machine: joins an engine and its links for the generations it serves.
