//! Hostile and broken fixture files: an error that names the file, and the walk goes on.

#[cfg(test)]
mod tests {
    use core::ops::ControlFlow;
    use lockstep_testkit::{
        Error,
        cases::is_fixture_name,
        source::{File, Limits, visit},
    };
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    /// A fresh directory for one test.
    fn directory(test: &str) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("source").join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn compress(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    fn read(path: &Path, limits: &Limits) -> Vec<Result<File, Error>> {
        let mut files = Vec::new();
        let _ = visit(path, limits, &is_fixture_name, &mut |file| {
            files.push(file);
            ControlFlow::Continue(())
        });
        files
    }

    /// The names below `path`, or the errors.
    fn names(path: &Path, limits: &Limits) -> Vec<String> {
        let name = |file: Result<File, Error>| match file {
            Ok(file) => file.name.replace(&format!("{}/", path.display()), ""),
            Err(error) => {
                format!("error: {}", error.to_string().replace(env!("CARGO_TARGET_TMPDIR"), ""))
            }
        };
        read(path, limits).into_iter().map(name).collect()
    }

    #[test]
    fn files_come_in_order_and_what_is_no_fixture_is_left_out() {
        let path = directory("order");
        fs::create_dir_all(path.join("b/.meta")).unwrap();
        for name in
            ["c.json", "b/2.json", "b/10.json", "b/.meta/index.json", "README.md", "counts.json"]
        {
            fs::write(path.join(name), "{}").unwrap();
        }
        let archive =
            tar(&[("x/1.json", b"{}"), ("x/fill-log.txt", b"-"), ("x/.hidden/2.json", b"{}")]);
        fs::write(path.join("a.tar.zst"), compress(&archive)).unwrap();
        fs::write(path.join("d.tar"), &archive).unwrap();
        let expected = ["a.tar.zst/x/1.json", "b/10.json", "b/2.json", "c.json", "d.tar/x/1.json"];
        assert_eq!(names(&path, &Limits::default()), expected);
    }

    #[test]
    fn a_truncated_archive_is_an_error_after_its_whole_files() {
        let path = directory("truncated").join("a.tar.zst");
        let noise: Vec<u8> =
            (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let whole = compress(&tar(&[("1.json", b"{}"), ("2.json", &noise)]));
        for length in [whole.len() / 2, whole.len() - 1, 10, 0] {
            fs::write(&path, &whole[..length]).unwrap();
            let files = read(&path, &Limits::default());
            let error = files.last().unwrap().as_ref().unwrap_err();
            assert!(matches!(error, Error::Archive { .. }), "{length}: {error}");
            assert!(error.to_string().contains("a.tar.zst"), "{error}");
        }
    }

    #[test]
    fn an_archive_that_is_none_is_an_error() {
        let path = directory("noise");
        fs::write(path.join("a.tar.zst"), [7; 4_096]).unwrap();
        fs::write(path.join("b.tar"), [7; 4_096]).unwrap();
        let files = read(&path, &Limits::default());
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(Result::is_err));
    }

    #[test]
    fn a_file_above_the_limit_is_an_error_and_the_next_is_read() {
        let path = directory("large");
        let limits = Limits { file_bytes: 100, ..Limits::default() };
        let (large, small) = ([b' '; 101], [b' '; 100]);
        fs::write(path.join("a.json"), large).unwrap();
        fs::write(path.join("b.json"), small).unwrap();
        fs::write(path.join("c.tar"), tar(&[("1.json", &large), ("2.json", &small)])).unwrap();
        let names = names(&path, &limits);
        assert!(names[0].ends_with("a.json: size in bytes: the limit is 100"), "{names:?}");
        assert_eq!(names[1], "b.json");
        assert!(names[2].ends_with("c.tar/1.json: size in bytes: the limit is 100"), "{names:?}");
        assert_eq!(names[3], "c.tar/2.json");
    }

    #[test]
    fn a_size_that_is_only_claimed_allocates_nothing() {
        let path = directory("claim").join("a.tar");
        let mut header = tar::Header::new_gnu();
        header.set_path("1.json").unwrap();
        header.set_size(400 << 20);
        header.set_cksum();
        fs::write(&path, header.as_bytes()).unwrap();
        let files = read(&path, &Limits::default());
        assert!(files[0].is_err(), "{files:?}");
    }

    #[test]
    fn a_decompression_bomb_is_stopped() {
        let path = directory("bomb").join("a.tar.zst");
        let zeros = vec![0; 8 << 20];
        fs::write(&path, compress(&tar(&[("1.bin", &zeros), ("2.json", b"{}")]))).unwrap();
        let limits = Limits { archive_bytes: 1 << 20, ..Limits::default() };
        let names = names(&path, &limits);
        assert_eq!(names.len(), 1);
        assert!(names[0].contains("decompressed size in bytes: the limit is 1048576"), "{names:?}");
    }

    #[test]
    fn an_endless_name_is_not_read_into_memory() {
        let path = directory("name").join("a.tar.zst");
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(64 << 20);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(bytes.len() + (64 << 20), b'a');
        bytes.extend(tar(&[("1.json", b"{}")]));
        fs::write(&path, compress(&bytes)).unwrap();
        let names = names(&path, &Limits::default());
        assert_eq!(names.len(), 1);
        assert!(names[0].contains("more data than"), "{names:?}");
    }

    #[test]
    fn a_window_above_the_limit_is_an_error() {
        let path = directory("window").join("a.tar.zst");
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(20).unwrap();
        std::io::Write::write_all(&mut encoder, &tar(&[("1.json", b"{}")])).unwrap();
        fs::write(&path, encoder.finish().unwrap()).unwrap();
        let limits = Limits { window_log: 15, ..Limits::default() };
        assert!(read(&path, &limits)[0].is_err());
        assert!(read(&path, &Limits::default())[0].is_ok());
    }

    #[test]
    fn too_many_entries_and_too_deep_directories_end_the_walk() {
        let path = directory("many");
        let entries: Vec<(&str, &[u8])> = vec![("1.json", b"{}"); 5];
        fs::write(path.join("a.tar"), tar(&entries)).unwrap();
        let limits = Limits { entries: 3, ..Limits::default() };
        let found = names(&path, &limits);
        assert_eq!(found.len(), 4);
        assert!(found[3].contains("entries: the limit is 3"), "{found:?}");

        let path = directory("deep");
        fs::create_dir_all(path.join("a/b/c")).unwrap();
        fs::write(path.join("a/b/c/1.json"), "{}").unwrap();
        let limits = Limits { depth: 2, ..Limits::default() };
        assert!(names(&path, &limits)[0].contains("directories inside one another"));
        assert_eq!(names(&path, &Limits { depth: 3, ..limits }), ["a/b/c/1.json"]);
    }

    #[test]
    fn a_path_that_is_no_fixture_is_an_error() {
        let path = directory("none");
        fs::write(path.join("README.md"), "").unwrap();
        assert!(matches!(
            read(&path.join("README.md"), &Limits::default())[0],
            Err(Error::Format { .. })
        ));
        assert!(matches!(read(&path.join("absent"), &Limits::default())[0], Err(Error::Io { .. })));
    }
}
