//! The tables of a FlatBuffer, read with every offset checked: a damaged file gives an error, and no more memory is
//! taken than the file has.

/// What is wrong with the file.
type Read<T> = Result<T, String>;

/// A table: numbers and offsets by the place in the schema.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    /// The root of a file.
    pub(super) fn root(bytes: &'a [u8]) -> Read<Self> {
        Self::behind(bytes, 0)
    }

    /// The table that the offset at `at` leads to.
    fn behind(bytes: &'a [u8], at: usize) -> Read<Self> {
        let offset = u32::from_le_bytes(read(bytes, at)?) as usize;
        let at = at.checked_add(offset).ok_or("an offset beyond the file")?;
        read::<4>(bytes, at)?;
        Ok(Self { bytes, at })
    }

    /// Where a field stands, if it does.
    fn field(&self, number: usize) -> Read<Option<usize>> {
        let back = i64::from(i32::from_le_bytes(read(self.bytes, self.at)?));
        let vtable = usize::try_from(self.at as i64 - back)
            .map_err(|_| "a table whose description is before the file".to_owned())?;
        let length = usize::from(u16::from_le_bytes(read(self.bytes, vtable)?));
        let entry = 4 + 2 * number;
        if entry + 2 > length {
            return Ok(None);
        }
        let place = u16::from_le_bytes(read(self.bytes, vtable + entry)?);
        Ok((place != 0).then(|| self.at + usize::from(place)))
    }

    pub(super) fn byte(&self, number: usize) -> Read<u8> {
        let field = self.field(number)?;
        field.map_or(Ok(0), |at| Ok(read::<1>(self.bytes, at)?[0]))
    }

    pub(super) fn integer(&self, number: usize, otherwise: i32) -> Read<i32> {
        let field = self.field(number)?;
        field.map_or(Ok(otherwise), |at| {
            Ok(i32::from_le_bytes(read(self.bytes, at)?))
        })
    }

    pub(super) fn table(&self, number: usize) -> Read<Option<Self>> {
        let field = self.field(number)?;
        field.map(|at| Self::behind(self.bytes, at)).transpose()
    }

    /// The elements of a vector, of `N` bytes each; none where the field is absent.
    pub(super) fn elements<const N: usize>(&self, number: usize) -> Read<&'a [[u8; N]]> {
        let Some((start, count)) = self.vector(number)? else {
            return Ok(&[]);
        };
        let bytes = count.checked_mul(N).and_then(|length| {
            let end = start.checked_add(length)?;
            self.bytes.get(start..end)
        });
        let bytes = bytes.ok_or_else(|| format!("{count} elements beyond the file"))?;
        Ok(bytes.as_chunks().0)
    }

    pub(super) fn integers(&self, number: usize) -> Read<Vec<i32>> {
        let elements = self.elements(number)?.iter();
        Ok(elements.map(|&bytes| i32::from_le_bytes(bytes)).collect())
    }

    pub(super) fn text(&self, number: usize) -> Read<&'a str> {
        let bytes = self.elements::<1>(number)?.as_flattened();
        std::str::from_utf8(bytes).map_err(|_| "a name that is no text".to_owned())
    }

    pub(super) fn tables(&self, number: usize) -> Read<Vec<Self>> {
        let Some((start, _)) = self.vector(number)? else {
            return Ok(Vec::new());
        };
        let places = self.elements::<4>(number)?.len();
        (0..places)
            .map(|place| Self::behind(self.bytes, start + 4 * place))
            .collect()
    }

    /// Where a vector's elements begin, and how many there are.
    fn vector(&self, number: usize) -> Read<Option<(usize, usize)>> {
        let Some(at) = self.field(number)? else {
            return Ok(None);
        };
        let Self { bytes, at } = Self::behind(self.bytes, at)?;
        let count = u32::from_le_bytes(read(bytes, at)?) as usize;
        Ok(Some((at + 4, count)))
    }
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Read<[u8; N]> {
    let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    found
        .copied()
        .ok_or_else(|| format!("{N} bytes at {at} expected, the file has {}", bytes.len()))
}
