//! Runs admitted modules, and originals beside them.

use std::sync::OnceLock;
use wasmtime::{Engine, Extern, Instance, Memory, Module, Store};
use weir_engine::admit::{Admission, admit};
use weir_engine::config::engine_config;
use weir_engine::limits::AdmitLimits;

/// Pages of every memory here: the module has 1 MiB of its own.
pub const PAGES: u32 = 336;

/// The end of that memory, an address.
pub const END: u32 = PAGES << 16;

/// One engine for all tests, with weir's configuration.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&engine_config()).unwrap())
}

/// Admits `module` with a memory of [`PAGES`].
pub fn admitted(module: &[u8]) -> Admission {
    let limits = AdmitLimits {
        memory_pages: PAGES,
        ..AdmitLimits::default()
    };
    let admission = admit(module, &limits);
    assert_eq!(admission.report.errors, []);
    admission
}

/// An instance and its memory.
pub struct Guest {
    pub store: Store<()>,
    pub instance: Instance,
    pub memory: Memory,
}

impl Guest {
    /// Instantiates a module that imports nothing.
    pub fn new(engine: &Engine, module: &[u8]) -> Guest {
        let module = Module::new(engine, module).unwrap();
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1_000_000);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let Some(Extern::Memory(memory)) = instance.get_export(&mut store, "memory") else {
            panic!("no memory");
        };
        Guest {
            store,
            instance,
            memory,
        }
    }

    /// Calls an export of type (i32, i32, i32) -> ().
    pub fn call(&mut self, name: &str, operands: (u32, u32, u32)) -> wasmtime::Result<()> {
        let function = self
            .instance
            .get_typed_func::<(u32, u32, u32), ()>(&mut self.store, name)?;
        function.call(&mut self.store, operands)
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }
}
