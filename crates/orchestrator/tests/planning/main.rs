//! Planning: held against every possibility where those can be counted, and against its own promises where not.

mod advice;
mod brute;
mod observing;
mod placing;
mod routing;
mod spreading;
mod worlds;
