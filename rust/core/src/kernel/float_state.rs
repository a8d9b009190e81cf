//! The processor's floating-point mode, saved and set at the door: other libraries turn on flush-to-zero.

/// While it lives, this thread rounds to nearest and keeps subnormals; then the former mode returns.
#[derive(Debug)]
pub struct FloatState {
    #[cfg(target_arch = "x86_64")]
    saved: u32,
}

/// Round to nearest, no flush-to-zero, no denormals-are-zero, all exceptions masked: the state at process start.
#[cfg(target_arch = "x86_64")]
const STANDARD: u32 = 0x1f80;

/// What has happened so far, which is no mode: to write the register waits for all that is under way.
#[cfg(target_arch = "x86_64")]
const FLAGS: u32 = 0x3f;

impl FloatState {
    /// Sets the standard mode.
    #[must_use]
    pub fn standard() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let saved = read();
            if saved & !FLAGS != STANDARD {
                write(STANDARD);
            }
            Self { saved }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Self {}
    }
}

impl Drop for FloatState {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if self.saved & !FLAGS != STANDARD {
            write(self.saved);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn read() -> u32 {
    let mut state = 0u32;
    // SAFETY: stores the 32-bit control register MXCSR, which every x86-64 has, to a valid place.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut state, options(nostack, preserves_flags));
    };
    state
}

#[cfg(target_arch = "x86_64")]
fn write(state: u32) {
    // SAFETY: the value is STANDARD or one that was read from the register, so no reserved bit is set.
    unsafe {
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const state, options(nostack, preserves_flags, readonly));
    };
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn subnormals_survive_inside_and_the_old_mode_returns() {
        const FLUSH: u32 = STANDARD | 1 << 15 | 1 << 6;
        write(FLUSH);
        let flushed = black_box(f64::MIN_POSITIVE) / black_box(4.0);
        let kept = {
            let _state = FloatState::standard();
            black_box(f64::MIN_POSITIVE) / black_box(4.0)
        };
        let after = read() & !0x3f;
        write(STANDARD);
        assert!(flushed == 0.0 && kept > 0.0);
        assert_eq!(after, FLUSH);
    }
}
