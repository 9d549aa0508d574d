//! Several named contents in one file: a tar within a zstd frame. Names are never paths here: nothing is
//! unpacked to a place that a file names.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use crate::workspace::archive::Exactly;

#[cfg(test)]
mod tests;

/// Middling: a transcript shrinks to about a tenth, at some hundred MiB a second.
const LEVEL: i32 = 3;

/// A reader holds no more than 16 MiB of what it has unpacked. Our own files need 2.
const MOST_WINDOW: u32 = 24;

/// The longest name.
const MOST_NAME: usize = 100;

/// What a tar file ends with, and what other programs fill it up with.
const MOST_PADDING: u64 = 64 * 1024;

/// A content to be put into a bundle.
#[derive(Debug)]
pub struct Member {
    /// 1 to 100 bytes of ASCII.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// Where it is.
    pub from: Source,
}

/// Where a content is.
#[derive(Debug)]
pub enum Source {
    /// In this file, from where it stands.
    Open(File),
    /// In the file with this name, which is opened when it is written.
    At(PathBuf),
}

impl Source {
    fn open(self) -> io::Result<File> {
        match self {
            Self::Open(file) => Ok(file),
            Self::At(path) => File::open(path),
        }
    }
}

/// How much is read of a bundle that nobody vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleLimits {
    /// Members at most.
    pub members: u64,
    /// Bytes of all members together, unpacked.
    pub bytes: u64,
}

/// Writes a bundle of these members, in their order.
///
/// # Errors
/// Reading or writing fails, a content is shorter than it was said to be, or a name is too long: what was
/// written is no whole bundle.
pub fn write_bundle(members: Vec<Member>, to: impl Write) -> io::Result<()> {
    let mut packed = Encoder::new(to, LEVEL)?;
    packed.include_checksum(true)?;
    let mut tar = Builder::new(packed);
    for member in members {
        if member.name.is_empty() || member.name.len() > MOST_NAME {
            return Err(io::Error::other("a member of the file has no good name"));
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(member.bytes);
        let whole = Exactly {
            file: member.from.open()?,
            left: member.bytes,
        };
        tar.append_data(&mut header, &member.name, whole)?;
    }
    tar.into_inner()?.finish()?.flush()
}

/// A content that is made before its length is known: in a file without a name, which goes with it.
#[derive(Debug)]
pub struct Spool(Summed<BufWriter<File>>);

impl Spool {
    /// An empty one on the disk of this folder.
    ///
    /// # Errors
    /// The folder does not take it.
    pub fn within(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self(Summed::new(BufWriter::new(file))))
    }

    /// All that was written.
    ///
    /// # Errors
    /// The last of it can't be written.
    pub fn finish(self) -> io::Result<Spooled> {
        let (writer, sha256, bytes) = self.0.finish();
        let mut file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Spooled {
            file,
            bytes,
            sha256,
        })
    }
}

/// A content that is whole.
#[derive(Debug)]
pub struct Spooled {
    /// The file, at its beginning.
    pub file: File,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of it, in lower-case hexadecimal digits.
    pub sha256: String,
}

impl Spooled {
    /// As a member of this name, and the SHA-256 of it.
    #[must_use]
    pub fn named(self, name: &str) -> (Member, String) {
        let member = Member {
            name: name.to_owned(),
            bytes: self.bytes,
            from: Source::Open(self.file),
        };
        (member, self.sha256)
    }
}

impl Write for Spool {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads a whole bundle; `each` gets the name of every member, its length and its content, and may leave
/// what it does not want of that unread.
///
/// # Errors
/// The file is no bundle, is damaged, cut off or longer than one, or is beyond the limits; or `each` fails.
pub fn read_bundle(
    from: impl Read,
    limits: BundleLimits,
    mut each: impl FnMut(&str, u64, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut unpacked = Decoder::with_buffer(BufReader::new(from))?.single_frame();
    unpacked.window_log_max(MOST_WINDOW)?;
    let mut tar = Archive::new(unpacked);
    let (mut members, mut room) = (0_u64, limits.bytes);
    // Raw: what says that the next entry has another name or length is no content, and is refused.
    for entry in tar.entries()?.raw(true) {
        let mut entry = entry?;
        members = members.saturating_add(1);
        if members > limits.members {
            return Err(wrong(format!("more than {} members", limits.members)));
        }
        if entry.header().entry_type() != EntryType::Regular {
            return Err(wrong("a member that is no plain content"));
        }
        let size = entry.header().size()?;
        room = room
            .checked_sub(size)
            .ok_or_else(|| wrong(format!("more than {} bytes in all", limits.bytes)))?;
        let name = name_of(&entry.path_bytes())?;
        each(&name, size, &mut entry)?;
        // The checksum of the frame is of all that is in it.
        io::copy(&mut entry, &mut io::sink())?;
    }
    expect_end(tar.into_inner())
}

/// Nothing may come after the last member but what tar files end with.
fn expect_end(mut unpacked: Decoder<'_, BufReader<impl Read>>) -> io::Result<()> {
    let mut buffer = [0_u8; 4096];
    let mut padding = 0_u64;
    loop {
        let count = unpacked.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        padding = padding.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let is_zero = buffer.iter().take(count).all(|byte| *byte == 0);
        if !is_zero || padding > MOST_PADDING {
            return Err(wrong("something after its last member"));
        }
    }
    if unpacked.finish().fill_buf()?.is_empty() {
        Ok(())
    } else {
        Err(wrong("something after its end"))
    }
}

fn name_of(bytes: &[u8]) -> io::Result<String> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic();
    let text = std::str::from_utf8(bytes).ok();
    let text = text.filter(|text| !text.is_empty() && text.bytes().all(|byte| is_plain(&byte)));
    text.map(str::to_owned)
        .ok_or_else(|| wrong("a member whose name is none of ours"))
}

fn wrong(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it has {what}"))
}

/// What is read or written through it is hashed and counted.
#[derive(Debug)]
pub struct Summed<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Summed<T> {
    /// Nothing went through it as yet.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// What is behind it, the SHA-256 of what went through it in lower-case hexadecimal digits, and how
    /// many bytes that were.
    pub fn finish(self) -> (T, String, u64) {
        (
            self.inner,
            HEXLOWER.encode(&self.hash.finalize()),
            self.bytes,
        )
    }

    fn add(&mut self, bytes: Option<&[u8]>) {
        let bytes = bytes.unwrap_or_default();
        self.hash.update(bytes);
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(count);
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.add(buffer.get(..count));
        Ok(count)
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.add(buffer.get(..count));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
