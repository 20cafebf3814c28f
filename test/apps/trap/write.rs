// write.rs - writes, reads back, makes and removes below a directory.
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(1).unwrap();
    let path = format!("{dir}/rust");
    let mut f = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    f.write_all(b"hello w....")?;
    f.write_at(b"orld", 7)?;
    f.sync_all()?;
    f.seek(SeekFrom::Start(6))?;
    let mut text = String::new();
    f.read_to_string(&mut text)?;
    drop(f);
    println!("read {:?} of {} bytes", text, fs::metadata(&path)?.len());
    fs::create_dir(format!("{dir}/d"))?;
    let exists = fs::create_dir(format!("{dir}/d")).unwrap_err().kind();
    let missing = fs::remove_file(format!("{dir}/missing")).unwrap_err().kind();
    println!("exists {exists:?}, missing {missing:?}");
    fs::remove_dir(format!("{dir}/d"))?;
    fs::remove_file(&path)?;
    let mut left: Vec<String> = fs::read_dir(&dir)?.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    println!("left {}", left.join(" "));
    Ok(())
}
