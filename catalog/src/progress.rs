//! How far long work has come.

/// How far checking or copying a store has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects that are done.
    pub objects_done: u64,
    /// Objects there are to do.
    pub objects_total: u64,
    /// Bytes that are done; work that reads bytes twice counts them twice.
    pub bytes_done: u64,
    /// Bytes there are to do.
    pub bytes_total: u64,
}

impl Progress {
    /// Which part is done, from 0 to 1, by bytes; by objects where there are no bytes.
    pub fn share(&self) -> f64 {
        match (self.bytes_total, self.objects_total) {
            (0, 0) => 1.0,
            (0, total) => self.objects_done as f64 / total as f64,
            (total, _) => self.bytes_done as f64 / total as f64,
        }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.objects_done += 1;
        self.bytes_done += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_bytes_and_nothing_to_do_is_done() {
        assert!((Progress::default().share() - 1.0).abs() < f64::EPSILON);
        let mut progress = Progress { objects_total: 2, bytes_total: 40, ..Progress::default() };
        progress.add(10);
        assert!((progress.share() - 0.25).abs() < f64::EPSILON);
    }
}
