//! Where every stored message is: 16 bytes each, in pages that are given back when they empty. Pure.

use super::record::Location;

const PAGE_SLOTS: usize = 512;
const END: u32 = u32::MAX;
/// The message is also named by ref records; the index keeps those entries beside.
const FLAG_REFFED: u32 = 1 << 31;

/// Number of a message in the slab; reused after the message is gone.
pub type Slot = u32;

#[derive(Clone, Copy, Default)]
struct Cell {
    /// 0 when the cell is free; segments count from 1.
    segment: u32,
    /// Offset of the record, or the next free cell of the page.
    offset: u32,
    len: u32,
    refs: u32,
}

struct Page {
    cells: [Cell; PAGE_SLOTS],
    live: u16,
    free: u32,
}

impl Page {
    fn new() -> Box<Page> {
        let mut cells = [Cell::default(); PAGE_SLOTS];
        for (i, cell) in cells.iter_mut().enumerate() {
            cell.offset = if i + 1 < PAGE_SLOTS { i as u32 + 1 } else { END };
        }
        Box::new(Page { cells, live: 0, free: 0 })
    }
}

/// A stored message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub location: Location,
    /// Bytes of its record with padding.
    pub len: u32,
    /// Entries of queues that hold it.
    pub refs: u32,
    /// Some of its entries came by a ref record.
    pub reffed: bool,
}

#[derive(Default)]
pub struct Slab {
    pages: Vec<Option<Box<Page>>>,
    /// Pages with a free cell (or not allocated); each is in here at most once.
    open: Vec<u32>,
    live: usize,
}

impl Slab {
    pub fn len(&self) -> usize {
        self.live
    }

    /// Adds a message without entries yet.
    pub fn insert(&mut self, location: Location, len: u32) -> Slot {
        let page_number = match self.open.last() {
            Some(&number) => number,
            None => {
                self.pages.push(None);
                self.open.push(self.pages.len() as u32 - 1);
                self.pages.len() as u32 - 1
            }
        };
        let page = self.pages[page_number as usize].get_or_insert_with(Page::new);
        let index = page.free;
        let cell = &mut page.cells[index as usize];
        page.free = cell.offset;
        *cell = Cell { segment: location.segment, offset: location.offset, len, refs: 0 };
        page.live += 1;
        if page.free == END {
            self.open.pop();
        }
        self.live += 1;
        page_number * PAGE_SLOTS as u32 + index
    }

    pub fn get(&self, slot: Slot) -> Option<Stored> {
        let cell = self.cell(slot)?;
        (cell.segment != 0).then_some(Stored {
            location: Location::new(cell.segment, cell.offset),
            len: cell.len,
            refs: cell.refs & !FLAG_REFFED,
            reffed: cell.refs & FLAG_REFFED != 0,
        })
    }

    pub fn add_refs(&mut self, slot: Slot, count: u32) {
        if let Some(cell) = self.cell_mut(slot) {
            cell.refs += count;
        }
    }

    pub fn mark_reffed(&mut self, slot: Slot) {
        if let Some(cell) = self.cell_mut(slot) {
            cell.refs |= FLAG_REFFED;
        }
    }

    pub fn move_to(&mut self, slot: Slot, location: Location, len: u32) {
        if let Some(cell) = self.cell_mut(slot) {
            cell.segment = location.segment;
            cell.offset = location.offset;
            cell.len = len;
            cell.refs &= !FLAG_REFFED;
        }
    }

    /// Takes one entry off; the message as it was, if that was its last.
    pub fn release(&mut self, slot: Slot) -> Option<Stored> {
        let cell = self.cell_mut(slot)?;
        cell.refs = cell.refs.saturating_sub(1);
        if cell.refs & !FLAG_REFFED != 0 {
            return None;
        }
        let gone = self.get(slot)?;
        self.free(slot);
        Some(gone)
    }

    /// Removes a message that never got an entry.
    pub fn free(&mut self, slot: Slot) {
        let (number, index) = (slot / PAGE_SLOTS as u32, slot % PAGE_SLOTS as u32);
        let Some(Some(page)) = self.pages.get_mut(number as usize) else { return };
        let was_full = page.free == END;
        page.cells[index as usize] = Cell { segment: 0, offset: page.free, len: 0, refs: 0 };
        page.free = index;
        page.live -= 1;
        self.live -= 1;
        let empty = page.live == 0;
        if was_full {
            self.drop_empty_top();
            self.open.push(number);
        } else if empty && self.open.last() != Some(&number) {
            self.pages[number as usize] = None;
        }
    }

    /// The page on top of the stack serves the next insert and is kept even when empty, so that one message
    /// that comes and goes does not allocate each time; no longer when another page takes its place.
    fn drop_empty_top(&mut self) {
        let Some(&top) = self.open.last() else { return };
        let page = &mut self.pages[top as usize];
        if page.as_ref().is_some_and(|page| page.live == 0) {
            *page = None;
        }
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        self.pages.iter().flatten().count() * size_of::<Page>()
            + self.pages.capacity() * size_of::<Option<Box<Page>>>()
            + self.open.capacity() * 4
    }

    fn cell(&self, slot: Slot) -> Option<&Cell> {
        let page = self.pages.get(slot as usize / PAGE_SLOTS)?.as_ref()?;
        Some(&page.cells[slot as usize % PAGE_SLOTS])
    }

    fn cell_mut(&mut self, slot: Slot) -> Option<&mut Cell> {
        let page = self.pages.get_mut(slot as usize / PAGE_SLOTS)?.as_mut()?;
        Some(&mut page.cells[slot as usize % PAGE_SLOTS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_reused_and_pages_given_back() {
        let mut slab = Slab::default();
        let slots: Vec<Slot> = (0..5000)
            .map(|i| {
                let slot = slab.insert(Location::new(1, i * 8), 8);
                slab.add_refs(slot, 1);
                slot
            })
            .collect();
        assert_eq!(slab.len(), 5000);
        assert!(slab.memory_bytes() < 5000 * 18, "{}", slab.memory_bytes());
        for (i, &slot) in slots.iter().enumerate() {
            assert_eq!(slab.get(slot).map(|s| s.location), Some(Location::new(1, i as u32 * 8)));
            assert_eq!(slab.release(slot).map(|s| s.len), Some(8));
            assert_eq!(slab.get(slot), None);
        }
        assert_eq!(slab.len(), 0);
        assert!(slab.memory_bytes() < 20_000, "{}", slab.memory_bytes());
        let again = slab.insert(Location::new(2, 0), 8);
        assert!(again < 5000);
    }

    #[test]
    fn a_message_goes_with_its_last_entry() {
        let mut slab = Slab::default();
        let slot = slab.insert(Location::new(1, 40), 64);
        slab.add_refs(slot, 2);
        slab.mark_reffed(slot);
        assert_eq!(slab.release(slot), None);
        let gone = slab.release(slot).expect("the last entry");
        assert_eq!((gone.location, gone.reffed), (Location::new(1, 40), true));
    }
}
