//! Every operation on every instruction set: agreement with the reference, and batch invariance.

mod attention;
mod elementwise;
mod linear;
mod repacked;
mod support;
