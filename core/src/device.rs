//! The two devices that a blocking front end drives, and adapters for what `embedded-io` offers.

use core::fmt;

use embedded_io::{Read, Seek, SeekFrom, Write};

use crate::num::{clip, widen};
use crate::op::{Outcome, WriteFlags};

/// Where the I/O goes: a disk, an image. Offsets and lengths are in bytes and multiples of the log's sector size.
pub trait DataDevice {
    /// What the device fails with.
    type Error: fmt::Debug;

    /// Writes `bytes` at `offset_bytes`; with [`WriteFlags::FUA`] durably.
    ///
    /// # Errors
    /// The device's; any part may have been written.
    fn write(&mut self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> Result<(), Self::Error>;

    /// Makes a range read as zeros; with [`WriteFlags::UNMAP`] its storage may be given back.
    ///
    /// # Errors
    /// The device's; any part may have been zeroed.
    fn write_zeroes(
        &mut self,
        offset_bytes: u64,
        len_bytes: u64,
        flags: WriteFlags,
    ) -> Result<(), Self::Error>;

    /// Gives a range's storage back. [`Outcome::Ok`] means that it now reads as zeros; a device that cannot do
    /// that does nothing and says [`Outcome::Ignored`].
    ///
    /// # Errors
    /// The device's; any part may have been discarded.
    fn discard(&mut self, offset_bytes: u64, len_bytes: u64) -> Result<Outcome, Self::Error>;

    /// Makes every write that has returned durable.
    ///
    /// # Errors
    /// The device's; nothing can be called durable then.
    fn flush(&mut self) -> Result<(), Self::Error>;
}

/// Where the entries go.
pub trait LogDevice {
    /// What the device fails with.
    type Error: fmt::Debug;

    /// Writes `pieces` one after the other from `offset_bytes` on, in one operation if the device can.
    ///
    /// # Errors
    /// The device's; any part may have been written.
    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> Result<(), Self::Error>;

    /// Makes every write that has returned durable.
    ///
    /// # Errors
    /// The device's; nothing can be called durable then.
    fn flush(&mut self) -> Result<(), Self::Error>;
}

/// A piece of a log write, with its bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many zeros. They may be a hole where the log device is known to read as zeros, and nowhere else.
    Zeros {
        /// How many, in bytes.
        len_bytes: u64,
    },
}

impl Piece<'_> {
    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => widen(bytes.len()),
            Self::Zeros { len_bytes } => *len_bytes,
        }
    }
}

/// A device that cannot do anything else than read, write and seek: an SD card's driver, a buffer in memory.
/// Zeros are written as such, a discard is ignored, and a flush is the writer's.
#[derive(Clone, Debug, Default)]
pub struct Seeking<T>(pub T);

impl<T: Write + Seek> Seeking<T> {
    fn seek(&mut self, offset_bytes: u64) -> Result<(), T::Error> {
        self.0.seek(SeekFrom::Start(offset_bytes)).map(|_| ())
    }

    fn write_zeros(&mut self, len_bytes: u64) -> Result<(), T::Error> {
        let mut rest = len_bytes;
        while rest > 0 {
            let zeros = &ZEROS[..clip(rest, ZEROS.len())];
            self.0.write_all(zeros)?;
            rest -= widen(zeros.len());
        }
        Ok(())
    }
}

impl<T: Write + Seek> DataDevice for Seeking<T> {
    type Error = T::Error;

    fn write(&mut self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> Result<(), T::Error> {
        self.seek(offset_bytes)?;
        self.0.write_all(bytes)?;
        if flags.contains(WriteFlags::FUA) { self.0.flush() } else { Ok(()) }
    }

    fn write_zeroes(&mut self, offset_bytes: u64, len_bytes: u64, flags: WriteFlags) -> Result<(), T::Error> {
        self.seek(offset_bytes)?;
        self.write_zeros(len_bytes)?;
        if flags.contains(WriteFlags::FUA) { self.0.flush() } else { Ok(()) }
    }

    fn discard(&mut self, _offset_bytes: u64, _len_bytes: u64) -> Result<Outcome, T::Error> {
        Ok(Outcome::Ignored)
    }

    fn flush(&mut self) -> Result<(), T::Error> {
        self.0.flush()
    }
}

impl<T: Write + Seek> LogDevice for Seeking<T> {
    type Error = T::Error;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> Result<(), T::Error> {
        self.seek(offset_bytes)?;
        for piece in pieces {
            match *piece {
                Piece::Bytes(bytes) => self.0.write_all(bytes)?,
                Piece::Zeros { len_bytes } => self.write_zeros(len_bytes)?,
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), T::Error> {
        self.0.flush()
    }
}

impl<T: Read + Seek> Seeking<T> {
    /// Reads the bytes at `offset_bytes`; the device must have all of `buffer`.
    ///
    /// # Errors
    /// The device's, or its end.
    pub fn read(
        &mut self,
        offset_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<(), embedded_io::ReadExactError<T::Error>> {
        self.0.seek(SeekFrom::Start(offset_bytes)).map_err(embedded_io::ReadExactError::Other)?;
        self.0.read_exact(buffer)
    }
}

/// No data device: every operation succeeds and leaves no trace. For logs that are the disk themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoData;

impl DataDevice for NoData {
    type Error = core::convert::Infallible;

    fn write(&mut self, _offset_bytes: u64, _bytes: &[u8], _flags: WriteFlags) -> Result<(), Self::Error> {
        Ok(())
    }

    fn write_zeroes(
        &mut self,
        _offset_bytes: u64,
        _len_bytes: u64,
        _flags: WriteFlags,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    fn discard(&mut self, _offset_bytes: u64, _len_bytes: u64) -> Result<Outcome, Self::Error> {
        Ok(Outcome::Ok)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

static ZEROS: [u8; 512] = [0; 512];
