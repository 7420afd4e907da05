//! An ext4 file system in a file, mounted through a loop device, that can lose power: `EXT4_IOC_SHUTDOWN`, as xfstests does it. From then
//! on the kernel writes nothing of it any more, not even its journal.
//!
//! Needs root and Python: the ioctl has no safe wrapper in Rust, so a line of Python makes it.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The file system; unmounted when dropped.
#[derive(Debug)]
pub struct Image {
    file: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

/// `_IOR('X', 125, __u32)` and `EXT4_GOING_FLAGS_NOLOGFLUSH`, from the kernel's `include/uapi/linux/ext4.h`.
const SHUTDOWN: &str = "import fcntl,os,struct,sys\n\
    print(flush=True)\n\
    sys.stdin.readline()\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// What cuts the power.
#[derive(Debug)]
pub struct Switch(Child);

impl Switch {
    /// The power fails now.
    pub fn cut(mut self) -> io::Result<()> {
        self.0.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"\n")?;
        let status = self.0.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("the power was not cut: {status}")))
        }
    }
}

/// Enough for the disk reserve of a server and for some segments; the file has holes.
const SIZE: &str = "4G";

impl Image {
    /// Makes one in this directory and mounts it. The error says what is missing here.
    pub fn create(directory: &Path) -> io::Result<Image> {
        // What cuts the power in the end.
        run(Command::new("python3").args(["-c", "import fcntl, os, struct, sys"]))?;
        let image = Image { file: directory.join("disk.img"), mount: directory.join("disk"), mounted: false };
        std::fs::create_dir_all(&image.mount)?;
        run(Command::new("truncate").args(["-s", SIZE]).arg(&image.file))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image.file))?;
        image.mount()
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Where its file is: this directory never loses power.
    pub fn directory(&self) -> &Path {
        self.file.parent().expect("it was made in a directory")
    }

    /// Gets ready to cut the power at once.
    pub fn switch(&self) -> io::Result<Switch> {
        let mut command = Command::new("python3");
        command.args(["-c", SHUTDOWN]).arg(&self.mount).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut ready = [0];
        child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?.read_exact(&mut ready)?;
        Ok(Switch(child))
    }

    /// Unmounts and mounts again, as after a power cut: the journal is replayed.
    pub fn restart(mut self) -> io::Result<Image> {
        self.unmount()?;
        Image { file: self.file.clone(), mount: self.mount.clone(), mounted: false }.mount()
    }

    fn mount(mut self) -> io::Result<Image> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&self.mount))?;
        self.mounted = true;
        Ok(self)
    }

    /// The loop device goes with the mount.
    fn unmount(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.mounted) {
            run(Command::new("umount").arg(&self.mount))?;
        }
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted
            && let Err(error) = self.unmount()
        {
            eprintln!("{error}; detaching {} lazily", self.mount.display());
            if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.mount)) {
                eprintln!("{error}: {} is left mounted", self.mount.display());
            }
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let program = command.get_program().to_owned();
    let failed = |what: &str| io::Error::other(format!("{}: {what}", program.display()));
    let output = command.output().map_err(|error| failed(&error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).trim())) }
}
