//! What the processor can do, as a value, so that a test can force any path.

/// Instruction sets that kernels may use. A set is present only if this processor was asked and
/// said yes: that is what makes calling a kernel sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    avx2: bool,
}

impl Cpu {
    /// This processor. The standard library asks once and remembers.
    pub(crate) fn native() -> Self {
        #[cfg(target_arch = "x86_64")]
        let avx2 = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = false;
        Self { avx2 }
    }

    /// No instruction set beyond what every processor of the target has.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "forces the specification in tests")
    )]
    pub(crate) const fn generic() -> Self {
        Self { avx2: false }
    }

    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx2(self) -> bool {
        self.avx2
    }
}
