//! Listings of files: answers of an S3 bucket, and pages of links.

use model::Time;

use crate::contract::DecodeError;
use crate::scan::Scan;

/// A page of a bucket.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct S3Page {
    pub(crate) objects: Vec<S3Object>,
    /// Folders, ending with a slash.
    pub(crate) folders: Vec<String>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<String>,
}

/// An object of a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct S3Object {
    pub(crate) key: String,
    pub(crate) modified: Option<Time>,
    pub(crate) tag: Option<Box<str>>,
    pub(crate) size_bytes: Option<u64>,
}

fn malformed(what: impl std::fmt::Display) -> DecodeError {
    DecodeError::Malformed(format!("listing: {what}"))
}

/// Reads `ListBucketResult`, the first version of S3's listing.
pub(crate) fn s3_page(body: &[u8]) -> Scan<S3Page> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("is no UTF-8 text"))?;
    let Some(inner) = element(text, "ListBucketResult") else {
        let shown: String = text.chars().take(200).collect();
        return Err(malformed(format!("is no whole ListBucketResult: {shown:?}")));
    };
    let mut page = S3Page::default();
    for object in elements(inner, "Contents") {
        let key = element(object, "Key").ok_or_else(|| malformed("an object without a key"))?;
        page.objects.push(S3Object {
            key: unescaped(key),
            modified: element(object, "LastModified").and_then(Time::parse),
            tag: element(object, "ETag").map(|tag| unescaped(tag).trim_matches('"').into()),
            size_bytes: element(object, "Size").and_then(|size| size.parse().ok()),
        });
    }
    for folder in elements(inner, "CommonPrefixes") {
        page.folders.extend(element(folder, "Prefix").map(unescaped));
    }
    match element(inner, "IsTruncated") {
        Some("false") => {}
        Some("true") => page.next = Some(next_marker(inner, &page)?),
        _ => return Err(malformed("does not say whether it goes on")),
    }
    Ok(page)
}

// Without a delimiter the bucket names no marker: the last key is one.
fn next_marker(inner: &str, page: &S3Page) -> Scan<String> {
    element(inner, "NextMarker")
        .map(unescaped)
        .or_else(|| page.objects.last().map(|object| object.key.clone()))
        .filter(|marker| !marker.is_empty())
        .ok_or_else(|| malformed("goes on, but does not say where"))
}

/// The content of the first element of that name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    elements(text, name).next()
}

/// The contents of all elements of that name, which do not nest.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(&open)?;
            let behind = &rest[at + open.len()..];
            // Another element whose name begins the same way.
            if !behind.starts_with(['>', ' ', '/', '\t', '\n', '\r']) {
                rest = behind;
                continue;
            }
            let (attributes, inner) = behind.split_once('>')?;
            if attributes.ends_with('/') {
                rest = inner;
                return Some("");
            }
            let (content, after) = inner.split_once(close.as_str())?;
            rest = after;
            return Some(content);
        }
    })
}

/// Targets of all links on a page, which must be whole.
pub(crate) fn html_links(body: &[u8]) -> Scan<Vec<String>> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("is no UTF-8 text"))?;
    let lower = text.to_ascii_lowercase();
    if !lower.contains("<html") || !lower.trim_end().ends_with("</html>") {
        let shown: String = text.chars().take(200).collect();
        return Err(malformed(format!("is no whole HTML page: {shown:?}")));
    }
    let mut links = Vec::new();
    let mut at = 0;
    while let Some(found) = lower[at..].find("href=") {
        at += found + 5;
        let quote = lower[at..].chars().next();
        if let Some(quote @ ('"' | '\'')) = quote
            && let Some(length) = lower[at + 1..].find(quote)
        {
            links.push(unescaped(&text[at + 1..at + 1 + length]));
            at += 1 + length;
        }
    }
    Ok(links)
}

/// Resolves the entities that keys and links may hold.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end <= 10);
        let read = end.and_then(|end| {
            let name = &rest[1..end];
            let character = match name {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => number(name).and_then(char::from_u32),
            };
            character.map(|character| (character, end))
        });
        // What is no entity stays as it is.
        let (character, end) = read.unwrap_or(('&', 0));
        out.push(character);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('#')?;
    match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    //! Cases for answers of a bucket and for pages of links.
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>data.binance.vision</Name><Prefix>data/spot/</Prefix><Marker></Marker><NextMarker>data/spot/b&amp;c.zip</NextMarker><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>data/spot/a.zip</Key><LastModified>2021-03-03T07:38:01.000Z</LastModified><ETag>&quot;4f14db8c&quot;</ETag><Size>76131</Size><StorageClass>STANDARD</StorageClass></Contents><Contents><Key>data/spot/b&amp;c.zip</Key><ETag/><Size>x</Size></Contents><CommonPrefixes><Prefix>data/spot/币安USDT/</Prefix></CommonPrefixes></ListBucketResult>"#;

    #[test]
    fn pages_of_a_bucket_are_read() {
        let page = s3_page(PAGE.as_bytes()).unwrap();
        assert_eq!(page.next.as_deref(), Some("data/spot/b&c.zip"));
        assert_eq!(page.folders, ["data/spot/币安USDT/"]);
        assert_eq!(
            page.objects[0],
            S3Object {
                key: "data/spot/a.zip".into(),
                modified: Time::parse("2021-03-03T07:38:01Z"),
                tag: Some("4f14db8c".into()),
                size_bytes: Some(76_131),
            }
        );
        assert_eq!((page.objects[1].key.as_str(), page.objects[1].size_bytes), ("data/spot/b&c.zip", None));
        let unmarked = PAGE.replace("<NextMarker>data/spot/b&amp;c.zip</NextMarker>", "");
        assert_eq!(s3_page(unmarked.as_bytes()).unwrap().next.as_deref(), Some("data/spot/b&c.zip"));
        let last = PAGE.replace("true", "false");
        assert_eq!(s3_page(last.as_bytes()).unwrap().next, None);
    }

    #[test]
    fn half_answers_and_errors_are_refused() {
        for end in 0..PAGE.len() {
            assert!(s3_page(&PAGE.as_bytes()[..end]).is_err(), "{end}");
        }
        let error = s3_page(b"<Error><Code>AccessDenied</Code></Error>").unwrap_err().to_string();
        assert!(error.contains("AccessDenied"), "{error}");
        let silent = PAGE.replace("<IsTruncated>true</IsTruncated>", "");
        assert!(s3_page(silent.as_bytes()).is_err());
    }

    #[test]
    fn links_are_found() {
        let page = "<!DOCTYPE html><html><body><ul><li><A HREF='a&amp;b/'>x</A>\
                    <li><a href=\"BTCUSDT2020-03-25.csv.gz\">y</a></ul></body></html>\n";
        assert_eq!(html_links(page.as_bytes()).unwrap(), ["a&b/", "BTCUSDT2020-03-25.csv.gz"]);
        assert!(html_links(&page.as_bytes()[..80]).is_err());
        assert!(html_links(b"403 Forbidden").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = (s3_page(text.as_bytes()), html_links(text.as_bytes()), unescaped(&text));
            let mut changed = PAGE.as_bytes().to_vec();
            let place = at.index(changed.len());
            changed[place] = byte;
            let _ = (s3_page(&changed), html_links(&changed));
        }
    }
}
