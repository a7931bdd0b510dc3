//! A server that a test has started, and a client that says whatever a test wants it to say.
#![allow(
    clippy::panic_in_result_fn,
    reason = "an error says that the server is gone; whatever else is amiss fails the test"
)]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::{Folder, Ran, signal};

/// A running `logwrites serve`, on the socket `disk.sock` of a folder if its clients speak NBD. It is killed if it is not stopped.
pub(crate) struct Served {
    child: Option<Child>,
    out: BufReader<ChildStdout>,
    /// Its first line: where it is.
    pub(crate) greeting: String,
}

impl Served {
    /// Starts it, with options separated by blanks, and waits until it can be reached.
    #[track_caller]
    pub(crate) fn start(folder: &Folder, options: &str) -> Self {
        Self::start_at(folder, &format!("--socket disk.sock {options}"))
    }

    /// The same, with an address among the options.
    #[track_caller]
    pub(crate) fn start_at(folder: &Folder, options: &str) -> Self {
        Self::start_as(folder, &format!("nbd {options}"))
    }

    /// Any kind of server, with its options.
    #[track_caller]
    pub(crate) fn start_as(folder: &Folder, options: &str) -> Self {
        Self::spawn(&mut folder.command(&format!("serve {options}")))
    }

    /// Starts any command that serves, and waits until it can be reached.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut greeting = String::new();
        while !greeting.contains("serving ") {
            let is_up = out.read_line(&mut greeting).expect("a line") > 0;
            assert!(is_up, "{command:?}: {:#?}", Ran::end_of(child));
        }
        Self { child: Some(child), out, greeting }
    }

    pub(crate) fn child(&self) -> &Child {
        self.child.as_ref().expect("it runs")
    }

    /// Ends it in good order, and gives what it said.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Ran {
        signal(self.child(), "TERM");
        self.end()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Ran {
        let mut said = String::new();
        self.out.read_to_string(&mut said).expect("text");
        let mut ran = Ran::end_of(self.child.take().expect("it runs"));
        ran.stdout = said;
        ran
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a client that others wrote; it must succeed. Gives what it printed.
#[track_caller]
pub(crate) fn client(folder: &Folder, package: &str, program: &str, args: &[&str]) -> String {
    let ran = try_client(folder, package, program, args);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    ran.stdout
}

/// Runs a client that others wrote.
#[track_caller]
pub(crate) fn try_client(folder: &Folder, package: &str, program: &str, args: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command.current_dir(folder.path("")).args(args).stdin(Stdio::null());
    let output = command.output();
    let output = output.unwrap_or_else(|error| {
        panic!("this test works with {program}, which is missing ({error}): apt-get install {package}")
    });
    Ran::new(&command, &output)
}

/// The URI of the socket `disk.sock`.
pub(crate) const URI: &str = "nbd+unix:///?socket=disk.sock";

/// A connection that is past the handshake, with simple replies.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    pub(crate) len_bytes: u64,
    next_cookie: u64,
}

impl Client {
    /// Chooses the export with this name, the old way.
    pub(crate) fn connect(socket: &Path, name: &str) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting)?;
        assert_eq!(greeting[..16], *b"NBDMAGICIHAVEOPT");
        let len = u32::try_from(name.len()).expect("short");
        let choice =
            [&[0, 0, 0, 3], &b"IHAVEOPT"[..], &[0, 0, 0, 1], &bytes_of(len.into())[4..], name.as_bytes()];
        stream.write_all(&choice.concat())?;
        let mut export = [0; 10];
        stream.read_exact(&mut export)?;
        Ok(Self { stream, len_bytes: number(&export[..8]), next_cookie: 0 })
    }

    /// Sends a request, and gives its cookie.
    pub(crate) fn send(
        &mut self,
        command: u8,
        flags: u8,
        offset: u64,
        len: usize,
        payload: &[u8],
    ) -> io::Result<u64> {
        self.next_cookie += 1;
        let request = request(command, flags, self.next_cookie, offset, len);
        self.stream.write_all(&[&request[..], payload].concat())?;
        Ok(self.next_cookie)
    }

    /// Receives a reply without data: cookie and error.
    pub(crate) fn reply(&mut self) -> io::Result<(u64, u64)> {
        let mut reply = [0; 16];
        self.stream.read_exact(&mut reply)?;
        assert_eq!(reply[..4], [0x67, 0x44, 0x66, 0x98]);
        Ok((number(&reply[8..]), number(&reply[4..8])))
    }

    /// Does one request; gives the error, 0 if it was done.
    pub(crate) fn call(
        &mut self,
        command: u8,
        flags: u8,
        offset: u64,
        len: usize,
        payload: &[u8],
    ) -> io::Result<u64> {
        let cookie = self.send(command, flags, offset, len, payload)?;
        let (replied, error) = self.reply()?;
        assert_eq!(replied, cookie);
        Ok(error)
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<u64> {
        self.call(WRITE, 0, offset, bytes.len(), bytes)
    }

    pub(crate) fn flush(&mut self) -> io::Result<u64> {
        self.call(FLUSH, 0, 0, 0, b"")
    }

    pub(crate) fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        assert_eq!(self.call(READ, 0, offset, len, b"")?, 0);
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A request as it is on the wire.
pub(crate) fn request(command: u8, flags: u8, cookie: u64, offset: u64, len: usize) -> Vec<u8> {
    let len = u64::try_from(len).expect("64 bits");
    let head = [0x25, 0x60, 0x95, 0x13, 0, flags, 0, command];
    [&head[..], &bytes_of(cookie), &bytes_of(offset), &bytes_of(len)[4..]].concat()
}

#[expect(clippy::big_endian_bytes, reason = "the naive side of the comparison")]
fn bytes_of(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(crate) const READ: u8 = 0;
pub(crate) const WRITE: u8 = 1;
pub(crate) const FLUSH: u8 = 3;
pub(crate) const TRIM: u8 = 4;
pub(crate) const WRITE_ZEROES: u8 = 6;

pub(crate) const EINVAL: u64 = 22;
pub(crate) const ENOSPC: u64 = 28;
