//! How images are read: `--raw`.

use crate::device::ImageFormat;

/// How images are read, for each verb that opens one
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ImageArgs {
    /// Read and write images as raw bytes even if they look like qcow2, VMDK, VDI, VHD, VHDX or LUKS
    #[arg(long)]
    pub raw: bool,
}

impl From<ImageArgs> for ImageFormat {
    fn from(args: ImageArgs) -> Self {
        if args.raw { Self::Raw } else { Self::Probed }
    }
}
