use super::*;

/// The lines of a small page below its heading, 40 columns wide.
fn set(source: &str) -> Vec<String> {
    let all = text(&format!(".TH X 7 \"\" x \"M\"\n.SH NAME\n{source}"), 40).unwrap_or_else(|e| panic!("{e}: {source}"));
    all.lines().skip(3).map(str::to_owned).collect()
}

fn refused(source: &str) -> Unknown {
    text(source, 40).unwrap_err()
}

#[test]
fn lines_are_filled_and_paragraphs_kept_apart() {
    let lines = set("one two three four five six seven eight\nnine\n.PP\nten\n.br\neleven\n");
    assert_eq!(lines, ["       one two three four five six seven", "       eight nine", "", "       ten", "       eleven"]);
    let long = "x".repeat(60);
    assert_eq!(set(&format!("a {long} b\n")), ["       a".to_owned(), format!("       {long}"), "       b".to_owned()]);
}

#[test]
fn words_in_front_stand_beside_what_they_mean_where_they_fit() {
    let lines = set(".TP\n.B \\-o\nShort.\n.TP\n\\fB\\-\\-output\\fR\nLong.\n.IP \\(bu 2\nDot.\n.IP\nBelow.\n");
    assert_eq!(lines, ["       -o     Short.", "", "       --output", "              Long.", "", "       * Dot.", "", "         Below."]);
    assert_eq!(set("Now:\n.RS 4\n.nf\n  a  b\nc\n.fi\n.RE\nthen\n"), ["       Now:", "             a  b", "           c", "       then"]);
}

#[test]
fn escapes_fonts_and_counters() {
    assert_eq!(set(".BR a \" and \" \"b c\" (7)\n.I x\ny\\e \\(lqq\\(rq \\*(Aq\\&.\n"), ["       a and b c(7) x y\\ \"q\" '."]);
    assert_eq!(set(".BR \"say \"\"so\"\"\" !\n"), ["       say \"so\"!"]);
    assert_eq!(set(".nr step 1 1\n.IP \\n[step]. 3\na\n.IP \\n+[step]. 3\nb\n"), ["       1. a", "", "       2. b"]);
}

#[test]
fn what_is_not_known_is_refused() {
    for (source, request) in [(".XX\n", "XX"), (".TS\n", "TS"), (".so man1/x.1\n", "so"), (". sp\n", ""), ("'br\n", "'")] {
        assert_eq!(refused(source), Unknown::Request(request.into()), "{source}");
    }
    for source in ["\\s0x\n", "\\m[red]x\n", "\\(zz\n", "\\*(zz\n", "\\fQx\n", "x\\\n", "\\n[none]\n", "\\(b"] {
        assert!(matches!(refused(source), Unknown::Escape(_)), "{source}");
    }
    for source in [".RS\nx\n", ".RE\n", ".nf\nx\n"] {
        assert_eq!(refused(source), Unknown::Open, "{source}");
    }
    assert!(matches!(refused(".TP 2i\nx\n"), Unknown::Request(_)));
}

#[test]
fn a_page_is_found_by_any_of_its_names() {
    for words in ["sealift-archive(5)", "sealift-archive.5", "sealift-archive", "archive", "archive(5)", "Archive"] {
        assert_eq!(find(words).map(|page| page.to_string()).as_deref(), Some("sealift-archive(5)"), "{words}");
    }
    assert_eq!(find("trust min-signatures").unwrap().name, "sealift-trust-min-signatures");
    for words in ["archive(7)", "sealift-", "", "(", ")", "()", "(5)", ".5"] {
        assert_eq!(find(words), None, "{words}");
    }
}
