//! Rooms to be filled.
