//! Changes a module inside its structure.

const PREAMBLE_BYTES: usize = 8;
const CODE_SECTION: u8 = 10;
const I32_CONST: u8 = 0x41;
/// What a change may add, bytes.
const ROOM_BYTES: usize = 64;

/// Numbers at which rules change: windows and bases of the contract, pages, bounds.
const NUMBERS: [u32; 12] = [
    0,
    1,
    0x7f,
    0x100,
    0x1_0000,
    0x0020_0000,
    0x0120_0000,
    0x013f_ffff,
    0x0140_0000,
    321,
    0x7fff_ffff,
    u32::MAX,
];

/// Changes one section, or one function's body, by `change(bytes, size, max_size) -> size`, and writes the lengths before
/// it anew. None if `module` is no sequence of sections, or the result would be longer than `max_bytes`.
pub fn mutate(
    module: &[u8],
    max_bytes: usize,
    seed: u32,
    change: impl Fn(&mut [u8], usize, usize) -> usize,
) -> Option<Vec<u8>> {
    let mut sections = read_sections(module)?;
    if sections.is_empty() {
        return None;
    }
    let mut choice = (seed >> 1) as usize;
    let mut choose = |of: usize| {
        let chosen = choice % of;
        choice /= of;
        chosen
    };
    let index = choose(sections.len());
    match choose(8) {
        0 if sections.len() > 1 => {
            sections.remove(index);
        }
        1 => {
            let other = choose(sections.len());
            sections.swap(index, other);
        }
        2 => sections.insert(index, sections[index].clone()),
        3..5 => {
            let (_, content) = &mut sections[index];
            let constants: Vec<usize> = (1..content.len()).filter(|&at| content[at - 1] == I32_CONST).collect();
            let at = match constants.len() {
                0 => choose(content.len().max(1)),
                count => constants[choose(count)],
            };
            replace_number(content, at, NUMBERS[choose(NUMBERS.len())]);
        }
        _ => {
            let (id, content) = &mut sections[index];
            let bodies = (*id == CODE_SECTION).then(|| read_bodies(content)).flatten();
            match bodies {
                Some(mut bodies) if !bodies.is_empty() => {
                    let body = choose(bodies.len());
                    changed(&mut bodies[body], &change);
                    *content = write_bodies(&bodies);
                }
                _ => changed(content, &change),
            }
        }
    }
    let written = write_sections(&module[..PREAMBLE_BYTES], &sections);
    (written.len() <= max_bytes).then_some(written)
}

fn changed(bytes: &mut Vec<u8>, change: &impl Fn(&mut [u8], usize, usize) -> usize) {
    let size = bytes.len();
    bytes.resize(size + ROOM_BYTES, 0);
    let new_size = change(bytes, size, size + ROOM_BYTES);
    bytes.truncate(new_size);
}

/// What could be a number at `at` becomes `number`.
fn replace_number(content: &mut Vec<u8>, at: usize, number: u32) {
    let Some((_, rest)) = content.get(at..).and_then(read_number) else {
        return;
    };
    let end = content.len() - rest.len();
    let mut written = Vec::new();
    write_number(&mut written, number);
    content.splice(at..end, written);
}

fn read_sections(module: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut rest = module.get(PREAMBLE_BYTES..)?;
    let mut sections = Vec::new();
    while let [id, after @ ..] = rest {
        let (content, behind) = read_sized(after)?;
        sections.push((*id, content.to_vec()));
        rest = behind;
    }
    Some(sections)
}

fn write_sections(preamble: &[u8], sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut module = preamble.to_vec();
    for (id, content) in sections {
        module.push(*id);
        write_sized(&mut module, content);
    }
    module
}

fn read_bodies(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (count, mut rest) = read_number(content)?;
    let mut bodies = Vec::new();
    for _ in 0..count {
        let (body, behind) = read_sized(rest)?;
        bodies.push(body.to_vec());
        rest = behind;
    }
    rest.is_empty().then_some(bodies)
}

fn write_bodies(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut content = Vec::new();
    write_number(&mut content, bodies.len() as u32);
    for body in bodies {
        write_sized(&mut content, body);
    }
    content
}

fn read_sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = read_number(bytes)?;
    rest.split_at_checked(size as usize)
}

fn write_sized(into: &mut Vec<u8>, content: &[u8]) {
    write_number(into, content.len() as u32);
    into.extend_from_slice(content);
}

/// An unsigned LEB128 number.
fn read_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0u32;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        number |= u32::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

fn write_number(into: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}
