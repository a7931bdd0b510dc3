//! A disk, or a file, as a stream of bytes with a position: the traits of `std::io` and of `embedded-io`.
//!
//! `write_all` is written out, so that a call of it is known by its own line and not by one of the standard library's.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use logwrites_core::num::{clip, widen};

use crate::disk::Disk;
use crate::files::File;

/// The traits for a type whose shared reference has them too.
macro_rules! stream {
    ($stream:ty as $plain:ty) => {
        impl io::Read for $stream {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                read::<$plain>(self, buffer)
            }
        }

        impl io::Write for $stream {
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                write::<$plain>(self, bytes)
            }

            #[track_caller]
            fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                write_all::<$plain>(self, bytes)
            }

            #[track_caller]
            fn flush(&mut self) -> io::Result<()> {
                flush::<$plain>(self)
            }
        }

        impl io::Seek for $stream {
            fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
                seek::<$plain>(self, to)
            }
        }

        impl embedded_io::ErrorType for $stream {
            type Error = io::Error;
        }

        impl embedded_io::Read for $stream {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                read::<$plain>(self, buffer)
            }
        }

        impl embedded_io::Write for $stream {
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                write::<$plain>(self, bytes)
            }

            #[track_caller]
            fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                write_all::<$plain>(self, bytes)
            }

            #[track_caller]
            fn flush(&mut self) -> io::Result<()> {
                flush::<$plain>(self)
            }
        }

        impl embedded_io::Seek for $stream {
            fn seek(&mut self, to: embedded_io::SeekFrom) -> io::Result<u64> {
                seek::<$plain>(
                    self,
                    match to {
                        embedded_io::SeekFrom::Start(offset) => io::SeekFrom::Start(offset),
                        embedded_io::SeekFrom::End(offset) => io::SeekFrom::End(offset),
                        embedded_io::SeekFrom::Current(offset) => io::SeekFrom::Current(offset),
                    },
                )
            }
        }
    };
}

stream!(Disk as Disk);
stream!(&Disk as Disk);
stream!(File as File);
stream!(&File as File);

/// What a stream is made of.
trait Stream {
    fn position(&self) -> &AtomicU64;

    fn end(&self) -> io::Result<u64>;

    /// Reads what there is at an offset.
    fn read_some(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize>;

    /// Writes as much as there is room for at an offset.
    #[track_caller]
    fn write_some(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<usize>;

    #[track_caller]
    fn flush_stream(&self) -> io::Result<()>;
}

impl Stream for Disk {
    fn position(&self) -> &AtomicU64 {
        self.position()
    }

    fn end(&self) -> io::Result<u64> {
        Ok(self.size_bytes())
    }

    fn read_some(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let len = clip(self.size_bytes().saturating_sub(offset_bytes), buffer.len());
        self.read_at(&mut buffer[..len], offset_bytes.min(self.size_bytes()))?;
        Ok(len)
    }

    #[track_caller]
    fn write_some(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<usize> {
        let len = clip(self.size_bytes().saturating_sub(offset_bytes), bytes.len());
        if len > 0 {
            self.write_at(&bytes[..len], offset_bytes)?;
        }
        Ok(len)
    }

    #[track_caller]
    fn flush_stream(&self) -> io::Result<()> {
        self.flush()
    }
}

impl Stream for File {
    fn position(&self) -> &AtomicU64 {
        self.position()
    }

    fn end(&self) -> io::Result<u64> {
        self.len()
    }

    fn read_some(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        self.read_some_at(buffer, offset_bytes)
    }

    #[track_caller]
    fn write_some(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<usize> {
        self.write_at(bytes, offset_bytes)?;
        Ok(bytes.len())
    }

    fn flush_stream(&self) -> io::Result<()> {
        Ok(())
    }
}

fn read<S: Stream>(stream: &S, buffer: &mut [u8]) -> io::Result<usize> {
    let position = stream.position().load(Ordering::Relaxed);
    let len = stream.read_some(buffer, position)?;
    stream.position().store(position + widen(len), Ordering::Relaxed);
    Ok(len)
}

#[track_caller]
fn write<S: Stream>(stream: &S, bytes: &[u8]) -> io::Result<usize> {
    let position = stream.position().load(Ordering::Relaxed);
    let len = stream.write_some(bytes, position)?;
    stream.position().store(position + widen(len), Ordering::Relaxed);
    Ok(len)
}

#[track_caller]
fn write_all<S: Stream>(stream: &S, bytes: &[u8]) -> io::Result<()> {
    let written = write(stream, bytes)?;
    if written < bytes.len() {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "the disk ends here"));
    }
    Ok(())
}

#[track_caller]
fn flush<S: Stream>(stream: &S) -> io::Result<()> {
    stream.flush_stream()
}

fn seek<S: Stream>(stream: &S, to: io::SeekFrom) -> io::Result<u64> {
    let position = match to {
        io::SeekFrom::Start(offset) => Some(offset),
        io::SeekFrom::End(offset) => stream.end()?.checked_add_signed(offset),
        io::SeekFrom::Current(offset) => stream.position().load(Ordering::Relaxed).checked_add_signed(offset),
    };
    let before_start = || io::Error::new(io::ErrorKind::InvalidInput, "a position before the start");
    let position = position.ok_or_else(before_start)?;
    stream.position().store(position, Ordering::Relaxed);
    Ok(position)
}

#[cfg(test)]
mod tests {
    use crate::disk;
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

    #[test]
    fn it_is_written_and_read_as_a_stream_until_its_end() {
        let recording = disk(1024).record(|mut disk| {
            disk.seek(SeekFrom::Start(1000))?;
            disk.write_all(b"twenty-four bytes, all.?")?;
            assert_eq!(disk.write(b"more")?, 0);
            assert_eq!(disk.write_all(b"more").unwrap_err().kind(), std::io::ErrorKind::WriteZero);
            disk.seek(SeekFrom::End(-24))?;
            let mut text = String::new();
            disk.read_to_string(&mut text)?;
            assert_eq!(text, "twenty-four bytes, all.?");
            disk.flush()?;
            Ok(())
        });
        assert_eq!(recording.index().nr_entries(), 2);
    }

    #[test]
    fn embedded_io_has_the_same() {
        use embedded_io::{Read, Seek, SeekFrom, Write};
        let recording = disk(1024).record(|mut disk| {
            Seek::seek(&mut disk, SeekFrom::Start(1))?;
            Write::write_all(&mut disk, b"a")?;
            Seek::rewind(&mut disk)?;
            let mut bytes = [9; 3];
            Read::read_exact(&mut disk, &mut bytes).map_err(|_| "the end")?;
            assert_eq!(bytes, [0, b'a', 0]);
            Ok(())
        });
        assert_eq!(recording.index().nr_entries(), 1);
    }
}
