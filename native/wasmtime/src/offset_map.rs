//! Where an instruction of a rewritten module stood in the module that its author built.

/// From `rewritten` on, an instruction at `rewritten + n` stood at `original + n`: offsets from the module's first byte.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetPair {
    pub rewritten: u32,
    /// [`NO_ORIGINAL`] where the bytes are the rewriter's own (a helper function).
    pub original: u32,
}

/// There is no such place in the original module: look at the caller's frame.
pub const NO_ORIGINAL: u32 = u32::MAX;

/// Builds the pairs in ascending order, one wherever the distance changes.
#[derive(Default)]
pub struct OffsetMapBuilder {
    pairs: Vec<OffsetPair>,
}

impl OffsetMapBuilder {
    /// States that what stands at `rewritten` stood at `original`.
    pub fn add(&mut self, rewritten: u32, original: u32) {
        let known = self.pairs.last();
        let follows = known.is_some_and(|last| {
            last.original != NO_ORIGINAL
                && original.wrapping_sub(last.original) == rewritten.wrapping_sub(last.rewritten)
        });
        if !follows {
            self.pairs.push(OffsetPair { rewritten, original });
        }
    }

    /// States that what follows `rewritten` has no original.
    pub fn end(&mut self, rewritten: u32) {
        self.pairs.push(OffsetPair {
            rewritten,
            original: NO_ORIGINAL,
        });
    }

    /// The finished map.
    pub fn finish(self) -> Vec<OffsetPair> {
        self.pairs
    }
}

/// The original offset of the instruction at `rewritten`, or [`NO_ORIGINAL`]: the last pair at or before it decides.
pub fn original_offset(pairs: &[OffsetPair], rewritten: u32) -> u32 {
    let after = pairs.partition_point(|pair| pair.rewritten <= rewritten);
    match after.checked_sub(1).map(|index| pairs[index]) {
        None => NO_ORIGINAL,
        Some(pair) if pair.original == NO_ORIGINAL => NO_ORIGINAL,
        Some(pair) => pair.original + (rewritten - pair.rewritten),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stand_only_where_the_distance_changes() {
        let mut builder = OffsetMapBuilder::default();
        builder.add(100, 100);
        builder.add(110, 110);
        builder.add(112, 114);
        builder.add(120, 122);
        builder.end(130);
        let pairs = builder.finish();
        assert_eq!(pairs.len(), 3);
        assert_eq!(original_offset(&pairs, 99), NO_ORIGINAL);
        assert_eq!(original_offset(&pairs, 100), 100);
        assert_eq!(original_offset(&pairs, 111), 111);
        assert_eq!(original_offset(&pairs, 112), 114);
        assert_eq!(original_offset(&pairs, 129), 131);
        assert_eq!(original_offset(&pairs, 130), NO_ORIGINAL);
        assert_eq!(original_offset(&pairs, u32::MAX), NO_ORIGINAL);
        assert_eq!(original_offset(&[], 5), NO_ORIGINAL);
    }
}
