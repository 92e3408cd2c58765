//! Words and bytes in a row: what the tables in the shared memory and the messages on the control socket are made of.

use headway_core::error::{Error, ErrorKind};

/// Appends to a row.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn word(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn signed(&mut self, value: i64) {
        self.word(value as u64);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.word(u64::from(value));
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.word(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// A list, each entry written by `one`.
    pub(super) fn list<T>(&mut self, list: &[T], mut one: impl FnMut(&mut Writer, &T)) {
        self.word(list.len() as u64);
        for entry in list {
            one(self, entry);
        }
    }
}

/// Reads a row that somebody else wrote, who may have written anything.
pub(super) struct Reader<'a>(&'a [u8]);

/// What a row that does not hold what it should becomes.
#[cold]
pub(super) fn garbled(what: &str) -> Error {
    Error::new(
        ErrorKind::Engine,
        format!("the lane's process and Headway do not understand each other: {what}"),
    )
}

impl<'a> Reader<'a> {
    pub(super) fn new(row: &'a [u8]) -> Self {
        Reader(row)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (head, rest) =
            self.0.split_at_checked(len).ok_or_else(|| garbled("a message that ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn word(&mut self) -> Result<u64, Error> {
        let mut word = [0; 8];
        word.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(word))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Error> {
        Ok(self.word()? as i64)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        Ok(self.word()? != 0)
    }

    pub(super) fn size(&mut self) -> Result<usize, Error> {
        usize::try_from(self.word()?).map_err(|_| garbled("a size that is none"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = self.size()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| garbled("a text that is none"))
    }

    /// A list, each entry read by `one`. What the list claims to hold is not believed before it is read.
    pub(super) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = self.size()?;
        let mut list = Vec::with_capacity(count.min(self.0.len() / 8));
        for _ in 0..count {
            // An entry takes a word at least, so that a wrong count ends soon.
            list.push(one(self)?);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut row = Writer::default();
        row.signed(-3);
        row.text("größer");
        row.list(&[1_u64, 2], |row, &word| row.word(word));
        let mut reader = Reader::new(&row.0);
        assert_eq!(reader.signed().expect("a number"), -3);
        assert_eq!(reader.text().expect("a text"), "größer");
        assert_eq!(reader.list(Reader::word).expect("a list"), [1, 2]);
        assert!(reader.word().is_err());
    }

    #[test]
    fn a_wrong_count_is_an_error_and_no_allocation() {
        let mut row = Writer::default();
        row.word(u64::MAX);
        assert!(Reader::new(&row.0).list(Reader::word).is_err());
        assert!(Reader::new(&row.0).bytes().is_err());
        assert!(Reader::new(&[1, 2]).word().is_err());
    }
}
