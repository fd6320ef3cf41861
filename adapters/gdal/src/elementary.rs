//! Sines and their kin from one implementation, so that coordinates are the same to the last bit on every machine.
//!
//! The system's C library takes another way on another processor (with fused multiply-add or without) and may change
//! with its version: the last bit of a reprojected coordinate would depend on the machine, and with it the root hash of
//! a version. The linker finds these functions before those of the system, for this program and for the coordinate
//! library that is part of it. Shared libraries keep those of the system; the hub sees to it for them.
#![allow(unsafe_code)]

/// Each under the name and with the shape by which C knows it.
macro_rules! elementary {
    ($($name:ident($($argument:ident),+);)+) => {$(
        // SAFETY: C's function of this name has this signature and this meaning.
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: f64),+) -> f64 {
            libm::$name($($argument),+)
        }
    )+};
}

elementary! {
    acos(x);
    acosh(x);
    asin(x);
    asinh(x);
    atan(x);
    atan2(y, x);
    atanh(x);
    cbrt(x);
    cos(x);
    cosh(x);
    exp(x);
    exp2(x);
    expm1(x);
    hypot(x, y);
    log(x);
    log10(x);
    log1p(x);
    log2(x);
    pow(base, exponent);
    sin(x);
    sinh(x);
    tan(x);
    tanh(x);
}

/// Sine and cosine at once, as compilers call them where a program asks for both.
// SAFETY: the C library's function of this name has this signature; both places are there to be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn sincos(x: f64, sine: *mut f64, cosine: *mut f64) {
    let both = libm::sincos(x);
    // SAFETY: whoever calls promises two places for a number each.
    unsafe {
        *sine = both.0;
        *cosine = both.1;
    }
}
