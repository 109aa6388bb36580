//! What a node reads before it can verify anything, or while it is being sent.

use std::net::Ipv4Addr;
use std::time::Duration;

use image_format::ObjectId;
use image_format::index::Index;
use initramfs_agent::cmdline::{BootSource, Cmdline};
use initramfs_agent::fleet::fuzzing::split_answer;
use initramfs_agent::net::Mac;
use initramfs_agent::net::dhcp::exchange::Exchange;
use initramfs_agent::net::dhcp::packet;

const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const RANDOM: u64 = 7 << 32;

/// The kernel command line.
pub fn cmdline(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parsed = Cmdline::parse(&text);
    assert!(parsed.ignored.len() <= 16);
    assert!(parsed.ignored.iter().all(|word| word.chars().count() <= 80 && word.starts_with("bascule.")));
    // What is passed on by kexec says the same again.
    let kernel = ObjectId::of(b"kernel");
    let again = Cmdline::parse(&parsed.for_kexec(kernel));
    let expected = Cmdline { kernel: Some(kernel), boot: BootSource::Kexec, ignored: Vec::new(), ..parsed };
    assert_eq!(again, expected);
}

/// A DHCP message from anybody on the network.
pub fn dhcp(bytes: &[u8]) {
    let usable = |lease: &packet::Lease| {
        assert!((1..=32).contains(&lease.prefix), "{lease:?}");
        assert!(lease.address != Ipv4Addr::UNSPECIFIED && !lease.address.is_multicast(), "{lease:?}");
        assert!(lease.dns.len() <= 3, "{lease:?}");
        let plain = |domain: &String| domain.len() <= 255 && domain.bytes().all(|b| b.is_ascii_graphic());
        assert!(lease.domain.as_ref().is_none_or(plain), "{lease:?}");
    };
    if let Some(packet::Reply::Offer(lease) | packet::Reply::Ack(lease)) = packet::parse(bytes, 7, MAC) {
        usable(&lease);
    }
    // As an answer to a discovery, and once more to the request that may follow.
    let mut exchange = Exchange::new(MAC, RANDOM);
    let mut now = Duration::ZERO;
    for _ in 0..3 {
        if let Some(sent) = exchange.due(now) {
            assert!((300..=packet::PACKET_MAX).contains(&sent.len()));
        }
        if let Some(lease) = exchange.receive(bytes, now) {
            usable(&lease);
        }
        assert!(exchange.next_at() <= now + Duration::from_secs(10));
        now += Duration::from_secs(1);
    }
}

/// The answer to a batch request: the first byte says in which pieces it comes, the rest is the body.
pub fn batch_answer(bytes: &[u8]) {
    let Some((piece, body)) = bytes.split_first() else { return };
    let index = Index::parse(&seeds::index()).unwrap();
    let wanted: Vec<usize> =
        (0..index.entries().len()).filter(|number| !index.entries()[*number].is_zero()).collect();
    let mut got = Vec::new();
    let pieces = body.chunks(usize::from(*piece).max(1));
    split_answer(&index, &wanted, pieces, &mut |number, chunk| got.push((number, chunk.to_vec())));
    // Chunks come whole, in order, and are the bytes of the body.
    let mut rest = body;
    for ((number, chunk), expected) in got.iter().zip(&wanted) {
        assert_eq!(number, expected);
        assert_eq!(chunk.len(), index.entries()[*number].stored_len as usize);
        assert_eq!(rest.get(..chunk.len()), Some(chunk.as_slice()));
        rest = &rest[chunk.len()..];
    }
    let next = wanted.get(got.len()).map(|number| index.entries()[*number].stored_len as usize);
    assert!(next.is_none_or(|next| rest.len() < next), "a whole chunk was kept back");
}

/// Valid inputs.
pub mod seeds {
    use image_format::index::{Entry, Index};
    use image_format::{ChunkId, ObjectId};

    use super::MAC;

    /// As a server's script, GRUB and kexec have it.
    pub fn cmdline() -> Vec<Vec<u8>> {
        let kernel = ObjectId::of(b"kernel");
        [
            format!(
                "console=ttyS0,115200 panic=10 bascule.server=http://10.0.2.2:7080 bascule.admin=http://10.0.2.2:7081/x \
                 bascule.mac=52-54-00-12-34-56 bascule.kernel={kernel} bascule.boot=net\n"
            ),
            format!("bascule.boot=local bascule.ip=10.0.2.15/24,10.0.2.2 bascule.kernel={kernel}"),
            format!("bascule.join=bascule-join-1.010203040506.{}.{kernel}.rack-7 bascule.boot=net", "02".repeat(16)),
            "init=/bin/sh bascule.insecure=1 bascule.root=/dev/sda bascule.boot=kexec bascule.boot=net".to_owned(),
        ]
        .map(String::into_bytes)
        .into()
    }

    fn message(kind: u8, options: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 240];
        out[..3].copy_from_slice(&[2, 1, 6]);
        out[4..8].copy_from_slice(&7_u32.to_be_bytes());
        out[16..20].copy_from_slice(&[10, 0, 2, 15]);
        out[28..34].copy_from_slice(&MAC.0);
        out[236..240].copy_from_slice(&[99, 130, 83, 99]);
        out.extend_from_slice(&[53, 1, kind, 54, 4, 10, 0, 2, 2]);
        out.extend_from_slice(options);
        out.push(255);
        out
    }

    /// An offer, a grant with every option, a refusal.
    pub fn dhcp() -> Vec<Vec<u8>> {
        let all = b"\x01\x04\xff\xff\xff\0\x03\x04\x0a\0\x02\x02\x06\x08\x0a\0\x02\x03\x0a\0\x02\x04\x0f\x07example\x33\x04\0\0\x0e\x10";
        vec![message(2, b"\x01\x04\xff\xff\xff\0"), message(5, all), message(2, all), message(6, b"")]
    }

    /// The index that the answers belong to: chunks of 3, 40 and 5 stored bytes.
    pub fn index() -> Vec<u8> {
        let entry = |stored_len: u32| Entry {
            chunk: ChunkId::of(&stored_len.to_le_bytes()),
            object: ObjectId::of(&stored_len.to_le_bytes()),
            plain_len: 4096,
            stored_len,
        };
        Index::new(vec![entry(3), entry(40), Entry::zero(4096), entry(5)]).unwrap().encode()
    }

    /// A whole answer in small, odd and large pieces.
    pub fn batch_answer() -> Vec<Vec<u8>> {
        let body: Vec<u8> = (0..48).collect();
        [1, 7, 255].map(|piece| [&[piece][..], &body].concat()).into()
    }
}
