//! Searches among splitters, several in step, without a branch that depends on the data.
//!
//! Splitters lie as a complete binary tree in an array, the root at 1 and the children of `k` at
//! `2k` and `2k + 1`: a step is a load, a comparison and an addition. (Sanders and Winkel, "Super
//! scalar sample sort", 2004.)

/// Searches in step: enough to hide each other's waits, few enough for the registers.
const IN_STEP: usize = 8;

/// Splitters in the order of a tree.
#[derive(Debug)]
pub(crate) struct Tree {
    /// A power of two of them; the first is not used.
    nodes: Vec<u64>,
    levels: u32,
}

impl Tree {
    /// A tree of splitters, which ascend.
    pub(crate) fn new(splitters: &[u64]) -> Self {
        let size = (splitters.len() + 1).next_power_of_two().max(2);
        let mut tree = Self { nodes: vec![u64::MAX; size], levels: size.ilog2() };
        tree.fill(1, &mut splitters.iter().copied());
        tree
    }

    /// Fills what lies below a node, in order.
    fn fill(&mut self, node: usize, next: &mut impl Iterator<Item = u64>) {
        if node < self.nodes.len() {
            self.fill(2 * node, next);
            // What is missing is padded with the greatest code.
            self.nodes[node] = next.next().unwrap_or(u64::MAX);
            self.fill(2 * node + 1, next);
        }
    }

    /// How many splitters each code has reached; the padding counts as well.
    ///
    /// # Panics
    /// If there are not as many places as codes.
    pub(crate) fn count_reached(&self, codes: &[u64], reached: &mut [u16]) {
        assert_eq!(codes.len(), reached.len(), "a place for each code");
        let (codes, rest) = codes.as_chunks::<IN_STEP>();
        let (reached, rest_reached) = reached.as_chunks_mut::<IN_STEP>();
        for (codes, reached) in codes.iter().zip(reached) {
            *reached = self.descend(*codes);
        }
        for (code, reached) in rest.iter().zip(rest_reached) {
            [*reached] = self.descend([*code]);
        }
    }

    #[inline(always)]
    fn descend<const N: usize>(&self, codes: [u64; N]) -> [u16; N] {
        let nodes = self.nodes.as_ptr();
        let mut at = [1_usize; N];
        for _ in 0..self.levels {
            for (at, code) in at.iter_mut().zip(codes) {
                // SAFETY: after `l` steps `at` lies from `2^l` on and below `2^(l+1)`; `levels`
                // steps are taken from nodes, of which there are `2^levels`.
                let node = unsafe { *nodes.add(*at) };
                *at = 2 * *at + usize::from(node <= code);
            }
        }
        at.map(|at| (at - self.nodes.len()) as u16)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_many_are_reached_as_there_are_below(
            splitters in proptest::collection::btree_set(0_u64..300, 0..200),
            codes in proptest::collection::vec(0_u64..310, 0..100),
        ) {
            let splitters: Vec<u64> = splitters.into_iter().collect();
            let mut reached = vec![0; codes.len()];

            Tree::new(&splitters).count_reached(&codes, &mut reached);

            for (code, reached) in codes.iter().zip(reached) {
                let plain = splitters.partition_point(|splitter| splitter <= code);
                prop_assert_eq!(usize::from(reached), plain);
            }
        }
    }
}
