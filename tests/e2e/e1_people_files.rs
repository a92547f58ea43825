//! E1, X8: people come in from files, by the command line. One bad row never stops the rest, and no
//! file takes more memory than a row and a few batches.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use e2e::{
    Tenant,
    command_line::{CommandLine, Ended},
    door::Door,
    shared,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A row is 1 MB at most, and what is under way a few batches of 2 MB. The rest is the program.
const MOST_KIB: u64 = 64 * 1024;

struct Files {
    dir: TempDir,
    door: Door,
    line: CommandLine,
}

impl Files {
    async fn new() -> Self {
        let tenant = Tenant::new(&shared(), json!({"contacts": 1, "limits": "off"})).await;
        let door = Door::of(&tenant).await;
        let line = CommandLine::new(&tenant, &door);
        Self {
            dir: tempfile::tempdir().unwrap(),
            door,
            line,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn import(&self, name: &str, bytes: &[u8]) -> Ended {
        std::fs::write(self.path(name), bytes).unwrap();
        self.again(name).await
    }

    async fn again(&self, name: &str) -> Ended {
        let path = self.path(name);
        let ended = self
            .line
            .run(&["people", "import", path.to_str().unwrap(), "--json"])
            .await;
        // Messages name lines, fields and codes, and no value.
        assert!(!ended.err.contains("example.com"), "{}", ended.err);
        ended
    }

    async fn ids(&self) -> Vec<String> {
        let page = self.door.ok("GET", "/people?limit=1000", None).await;
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|p| p["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The lines and codes of the rows that were told.
fn told(ended: &Ended) -> Vec<(u64, String)> {
    ended
        .err
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|row| {
            (
                row["line"].as_u64().unwrap(),
                row["code"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

fn row(line: u64, code: &str) -> (u64, String) {
    (line, code.to_owned())
}

/// Created, unchanged, refused.
fn counts(ended: &Ended) -> [u64; 3] {
    let summary = ended.json();
    ["created", "unchanged", "refused"].map(|name| summary[name].as_u64().unwrap())
}

#[tokio::test]
async fn csv_as_spreadsheets_write_it_goes_in() {
    let files = Files::new().await;
    let field =
        json!({"record": "person", "key": "custom.tool", "label": "Tool", "field_type": "list"});
    let fields = json!({"items": [field]});
    files.door.ok("POST", "/custom-fields", Some(fields)).await;
    // A mark, CRLF, quoted line breaks, quotation marks and separators, blank lines, no last CRLF.
    let csv = "\u{feff}ID,Version,E-mail address,First Name,Notes,custom.tool\r\n";
    let wrong = files.import("wrong.csv", csv.as_bytes()).await;
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("line 1: HS-2211"), "{}", wrong.err);
    let csv = "\u{feff}ID,Version,Email,First Name,Headline,custom.tool\r\n\
        p1,3,P1@Example.com,\"Ann \"\"A.\"\"\",\"one,\r\ntwo\",a; b\r\n\
        \r\n\
        p2,,p2@example.com,,,\r\n\
        p3,1,,,,";
    let ended = files.import("people.csv", csv.as_bytes()).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(counts(&ended), [3, 0, 0]);
    let first = files.door.ok("GET", "/people/p1", None).await;
    assert_eq!(first["email"], "p1@example.com");
    assert_eq!(first["version"], 3);
    assert_eq!(
        first["fields"],
        json!({"first_name": "Ann \"A.\"", "headline": "one,\r\ntwo", "custom.tool": ["a", "b"]})
    );
    // Again: the versions are those of the file, so that nothing is new.
    let again = files.again("people.csv").await;
    assert_eq!((again.code, counts(&again)), (0, [0, 3, 0]));
}

#[tokio::test]
async fn refused_rows_are_told_and_the_good_ones_are_in() {
    let files = Files::new().await;
    let csv = b"id,version,email,lead_score,status\n\
        p1,1,p1@example.com,1,replied\n\
        p2,1,no address,,\n\
        p3,1,,many,\n\
        p1,2,,,\n\
        p4,1,M\xfcller@example.com,,\n\
        who@example.com,1,,,\n\
        p5,1,,,in_love\n\
        p6,1\n\
        p7,one,,,\n\
        p8,1,p8@example.com,,\n";
    let ended = files.import("people.csv", csv).await;
    assert_eq!(ended.code, 1);
    assert_eq!(
        told(&ended),
        [
            row(3, "HS-2202"),
            row(4, "HS-2204"),
            row(5, "HS-2214"),
            row(6, "HS-2212"),
            row(7, "HS-2201"),
            row(8, "HS-2206"),
            row(9, "HS-2215"),
            row(10, "HS-2208"),
        ]
    );
    assert_eq!(counts(&ended), [2, 0, 8]);
    assert_eq!(files.ids().await, ["p1", "p8"]);

    let jsonl = b"{\"id\":\"p1\",\"version\":1,\"email\":\"other@example.com\"}\r\n\
        \r\n\
        {\"id\":\"p9\",\"version\":1,\"fields\":{\"city\":null}}\r\n\
        {\"id\":\"p10\",\"fields\":{\"shoe_size\":44}}\r\n\
        {\"id\":\"p11\",\"emial\":\"x\"}\r\n\
        not json\r\n\
        {\"id\":\"p12\",\"email\":\"M\xfcller@example.com\"}\r\n\
        {\"id\":\"p13\",\"version\":1}";
    let ended = files.import("people.jsonl", jsonl).await;
    assert_eq!(ended.code, 1);
    assert_eq!(
        told(&ended),
        [
            // Sent before with another value: only the service knows.
            row(1, "HS-2207"),
            row(4, "HS-2203"),
            row(5, "HS-2203"),
            row(6, "HS-2216"),
            row(7, "HS-2212"),
        ]
    );
    assert_eq!(files.ids().await, ["p1", "p13", "p8", "p9"]);

    // As text, to a file.
    let (path, rejects) = (files.path("people.csv"), files.path("rejects.txt"));
    let ended = files
        .line
        .run(&[
            "people",
            "import",
            path.to_str().unwrap(),
            "--rejects",
            rejects.to_str().unwrap(),
        ])
        .await;
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.out,
        "10 rows: 0 created, 0 updated, 2 unchanged, 0 stale, 8 refused, 0 erased\n"
    );
    let text = std::fs::read_to_string(rejects).unwrap();
    assert_eq!(text.lines().count(), 8);
    assert!(text.starts_with("line 3: HS-2202 email: "), "{text}");
    assert!(!text.contains("example.com"), "{text}");
}

#[tokio::test]
async fn what_is_no_file_of_people_is_refused_whole() {
    let files = Files::new().await;
    let utf16: Vec<u8> = "\u{feff}id,email\r\np1,\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes) in [
        ("empty.csv", &b""[..]),
        ("blank.csv", b"\n\n"),
        ("mark.csv", b"\xef\xbb\xbf"),
        ("utf16.csv", &utf16),
        ("no-id.csv", b"email\np1@example.com\n"),
        ("no-header.csv", b"p1,p1@example.com\n"),
        ("twice.csv", b"id,email,EMAIL\n"),
        ("unknown.csv", b"id,shoe size\n"),
    ] {
        let ended = files.import(name, bytes).await;
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{name}");
        assert!(ended.err.contains("HS-2211"), "{name}: {}", ended.err);
        assert!(
            ended.err.contains("nothing was sent"),
            "{name}: {}",
            ended.err
        );
    }
    // Without rows, or without one that can be read, there is nothing to do.
    for (name, bytes) in [("header.csv", &b"id\n"[..]), ("empty.jsonl", b"")] {
        let ended = files.import(name, bytes).await;
        assert_eq!((ended.code, counts(&ended)), (0, [0, 0, 0]), "{name}");
    }
    let ended = files.import("utf16.jsonl", &utf16).await;
    assert_eq!(ended.code, 1);
    assert!(
        told(&ended)
            .iter()
            .all(|(_, code)| code == "HS-2212" || code == "HS-2216")
    );
    assert!(files.ids().await.is_empty());
}

/// A file with a row of 100 MB between good ones.
fn with_long_row(path: PathBuf, before: &str, long: [&[u8]; 2], after: &str) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(before.as_bytes()).unwrap();
    file.write_all(long[0]).unwrap();
    let part = [b'x'; 1 << 20];
    for _ in 0..100 {
        file.write_all(&part).unwrap();
    }
    file.write_all(long[1]).unwrap();
    file.write_all(after.as_bytes()).unwrap();
    file.flush().unwrap();
}

#[tokio::test]
async fn a_row_of_100_mb_takes_no_memory_and_holds_up_nothing() {
    let files = Files::new().await;
    let mut last = 0;
    for (name, before, long, after) in [
        (
            "long.csv",
            "id,headline\np1,\n",
            [&b"p2,"[..], b"\n"],
            "p3,\n",
        ),
        (
            "quoted.csv",
            "id,headline\np1,\n",
            [b"p2,\"", b"\n,\"\"\"\n"],
            "p4,\n",
        ),
        (
            "long.jsonl",
            "{\"id\":\"p1\"}\n",
            [b"{\"id\":\"p2\",\"fields\":{\"headline\":\"", b"\"}}\n"],
            "{\"id\":\"p5\"}\n",
        ),
    ] {
        with_long_row(files.path(name), before, long, after);
        let ended = files.again(name).await;
        assert_eq!(ended.code, 1, "{name}: {}", ended.err);
        let line = if name == "long.jsonl" { 2 } else { 3 };
        assert_eq!(told(&ended), [row(line, "HS-2213")], "{name}");
        assert_eq!(ended.json()["rows"], 3, "{name}");
        if cfg!(target_os = "linux") {
            let peak = ended.peak_kib.expect("a peak");
            assert!(peak < MOST_KIB, "{name}: {peak} KiB");
            last = last.max(peak);
        }
        std::fs::remove_file(files.path(name)).unwrap();
    }
    println!("at most {last} KiB");
    assert_eq!(files.ids().await, ["p1", "p3", "p4", "p5"]);
}

/// Large rows in number: what is under way is bounded, whatever the file is.
#[tokio::test]
async fn many_large_rows_go_in_with_flat_memory() {
    let files = Files::new().await;
    let mut file = BufWriter::new(File::create(files.path("many.jsonl")).unwrap());
    let text = "é".repeat(20_000);
    for n in 0..1_500 {
        writeln!(
            file,
            "{{\"id\":\"p{n:04}\",\"version\":1,\"fields\":{{\"headline\":\"{text}\"}}}}"
        )
        .unwrap();
    }
    file.flush().unwrap();
    drop(file);
    let ended = files.again("many.jsonl").await;
    assert_eq!(
        (ended.code, counts(&ended)),
        (0, [1_500, 0, 0]),
        "{}",
        ended.err
    );
    if cfg!(target_os = "linux") {
        let peak = ended.peak_kib.expect("a peak");
        println!("at most {peak} KiB");
        assert!(peak < MOST_KIB, "{peak} KiB");
    }
    assert_eq!(counts(&files.again("many.jsonl").await), [0, 1_500, 0]);
}

#[tokio::test]
async fn more_rows_than_a_call_takes_go_in_and_erased_people_stay_out() {
    let files = Files::new().await;
    let mut csv = "id,version,email\n".to_owned();
    for n in 0..2_345 {
        csv.push_str(&format!("p{n:04},1,p{n}@example.com\n"));
    }
    let ended = files.import("people.csv", csv.as_bytes()).await;
    assert_eq!(
        (ended.code, counts(&ended)),
        (0, [2_345, 0, 0]),
        "{}",
        ended.err
    );
    let erased = json!({"person": "p1234"});
    files.door.ok("POST", "/erasures", Some(erased)).await;
    let again = files.again("people.csv").await;
    assert_eq!((again.code, counts(&again)), (0, [0, 2_344, 0]));
    assert_eq!(again.json()["erased"], 1);
    assert_eq!(told(&again), [row(1_236, "HS-2209")]);
}

#[tokio::test]
async fn an_import_that_was_killed_is_finished_by_running_it_again() {
    let files = Files::new().await;
    let mut csv = "id,email\n".to_owned();
    for n in 0..10_000 {
        csv.push_str(&format!("p{n:04},p{n}@example.com\n"));
    }
    std::fs::write(files.path("people.csv"), csv).unwrap();
    let (line, path) = (files.line.clone(), files.path("people.csv"));
    let import = tokio::spawn(async move {
        let arguments = ["people", "import", path.to_str().unwrap()];
        line.run(&arguments).await
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while files.ids().await.is_empty() {
        assert!(Instant::now() < deadline, "no row went in");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What is dropped is killed.
    import.abort();
    assert!(import.await.is_err(), "it was over before it was killed");
    let again = files.again("people.csv").await;
    assert_eq!(again.code, 0, "{}", again.err);
    let [created, unchanged, refused] = counts(&again);
    assert!(created > 0 && unchanged > 0, "{created} {unchanged}");
    assert_eq!((created + unchanged, refused), (10_000, 0));
}

#[tokio::test]
async fn a_token_that_is_none_ends_it_with_nothing_in() {
    let files = Files::new().await;
    std::fs::write(files.path("people.csv"), "id\np1\n").unwrap();
    let path = files.path("people.csv");
    let ended = files
        .line
        .with_token("hst_0123456789")
        .run(&["people", "import", path.to_str().unwrap()])
        .await;
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(ended.err.contains("HS-4002"), "{}", ended.err);
    assert!(files.ids().await.is_empty());
}
