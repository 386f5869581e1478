//! A program that keeps numbered records in files of eight and says aloud which are safe. On demand
//! it skips one of its two syncs: what the power-cut file system has to catch.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
struct Arguments {
    /// Where the files go.
    folder: PathBuf,
    /// The sync to leave out.
    #[arg(long, value_enum, default_value_t = Skip::Nothing)]
    skip: Skip,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Skip {
    /// None: this is how it is done.
    Nothing,
    /// That of a record's bytes.
    Bytes,
    /// That of the folder after a new file.
    Folder,
}

fn main() -> anyhow::Result<()> {
    let Arguments { folder, skip } = Arguments::parse();
    let mut file = None;
    for number in 0_u64.. {
        if number % 8 == 0 {
            file = Some(File::create_new(
                folder.join(format!("{}.log", number / 8)),
            )?);
            if skip != Skip::Folder {
                File::open(&folder)?.sync_all()?;
            }
        }
        let file = file.as_mut().expect("the first number opens a file");
        file.write_all(&number.to_le_bytes().repeat(125))?;
        if skip != Skip::Bytes {
            file.sync_data()?;
        }
        println!("{number}");
    }
    Ok(())
}
