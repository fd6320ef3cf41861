//! Random numbers that replay from a seed.

/// A stream of pseudo-random numbers (`SplitMix64`); equal seeds give equal streams.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// A stream of its own for each name under one seed, so that leaving out one requirement changes no other.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a: any spread of the name over 64 bits does.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(seed ^ hash)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end`, both included. The bias of the remainder does not matter for tests.
    pub fn up_to(&mut self, end: u64) -> u64 {
        let drawn = self.next_u64();
        end.checked_add(1).map_or(drawn, |count| drawn % count)
    }

    /// A number from `low` to `high`, high excluded.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_replays_from_its_seed_and_name() {
        let draw = |seed, name: &str| {
            let mut random = Seeded::new(seed, name);
            [random.next_u64(), random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(7, "resume"), draw(7, "resume"));
        assert_ne!(draw(7, "resume"), draw(8, "resume"));
        assert_ne!(draw(7, "resume"), draw(7, "refusal"));
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_its_ends() {
        let mut random = Seeded::new(1, "range");
        let drawn: Vec<u64> = (0..200).map(|_| random.up_to(3)).collect();
        assert!((0..=3).all(|n| drawn.contains(&n)) && drawn.iter().all(|n| *n <= 3));
        assert!((0..200).map(|_| random.between(46.0, 87.0)).all(|x| (46.0..87.0).contains(&x)));
    }
}
