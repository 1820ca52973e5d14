//! What the processor can do, as a value, so that a test or a user can force any path.

/// Instruction sets by name, each with those before it of the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Generic,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    Sdot,
    #[cfg(target_arch = "aarch64")]
    I8mm,
}

impl Level {
    /// From the least to the most.
    const ALL: &[Self] = &[
        Self::Generic,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::AvxVnni,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512Vnni,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        #[cfg(target_arch = "aarch64")]
        Self::Sdot,
        #[cfg(target_arch = "aarch64")]
        Self::I8mm,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::Sdot => "sdot",
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => "i8mm",
        }
    }

    /// Whether this processor has it. The standard library asks once and remembers.
    fn is_here(self) -> bool {
        #[cfg(target_arch = "aarch64")]
        use std::arch::is_aarch64_feature_detected as has;
        #[cfg(target_arch = "x86_64")]
        use std::arch::is_x86_feature_detected as has;
        match self {
            Self::Generic => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => has!("avx2") && has!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                has!("avx2") && has!("avx512f") && has!("avx512bw") && has!("avx512vnni")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => has!("neon"),
            #[cfg(target_arch = "aarch64")]
            Self::Sdot => has!("neon") && has!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => has!("neon") && has!("dotprod") && has!("i8mm"),
        }
    }
}

/// Instruction sets that kernels may use. A value exists only for sets that this processor was
/// asked for and has: that is what makes calling a kernel sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu(Level);

impl Cpu {
    /// The most that this processor has.
    pub(crate) fn native() -> Self {
        let here = Level::ALL.iter().rev().find(|level| level.is_here());
        Self(*here.unwrap_or(&Level::Generic))
    }

    /// No instruction set beyond what every processor of the target has.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "forces the specification in tests")
    )]
    pub(crate) const fn generic() -> Self {
        Self(Level::Generic)
    }

    /// All that this processor can be held to, from plain Rust to [`Cpu::native`].
    pub(crate) fn available() -> Vec<Self> {
        let here = Level::ALL.iter().filter(|level| level.is_here());
        here.copied().map(Self).collect()
    }

    /// By name: `generic`; `avx2`, `avx-vnni`, `avx512-vnni`; `neon`, `sdot`, `i8mm`. `None` where
    /// this processor lacks it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|cpu| cpu.name() == name)
    }

    /// The name of the set.
    pub(crate) fn name(self) -> &'static str {
        self.0.name()
    }

    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx2(self) -> bool {
        self.0 >= Level::Avx2
    }

    /// x86-64 with the 256-bit dot products of AVX-VNNI, and not more.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx_vnni(self) -> bool {
        self.0 == Level::AvxVnni
    }

    /// x86-64 with AVX-512 F, BW and VNNI.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx512_vnni(self) -> bool {
        self.0 >= Level::Avx512Vnni
    }

    /// arm64 with NEON, which every processor of the kind has.
    #[cfg(target_arch = "aarch64")]
    pub(crate) fn has_neon(self) -> bool {
        self.0 >= Level::Neon
    }

    /// arm64 with signed dot products.
    #[cfg(target_arch = "aarch64")]
    pub(crate) fn has_sdot(self) -> bool {
        self.0 >= Level::Sdot
    }

    /// arm64 with 8-bit matrix products.
    #[cfg(target_arch = "aarch64")]
    pub(crate) fn has_i8mm(self) -> bool {
        self.0 >= Level::I8mm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_can_be_held_to_the_specification() {
        assert_eq!(Cpu::named("generic"), Some(Cpu::generic()));
        assert_eq!(Cpu::available().first(), Some(&Cpu::generic()));
        assert_eq!(Cpu::available().last(), Some(&Cpu::native()));
        assert_eq!(Cpu::named("abacus"), None);
    }
}
