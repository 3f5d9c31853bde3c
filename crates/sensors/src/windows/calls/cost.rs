//! What the connection costs, by the network list manager, which is a COM object.

use std::ptr;

use windows::Win32::Networking::NetworkListManager::{INetworkCostManager, NetworkListManager};
use windows::Win32::System::Com::{CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoUninitialize};
use windows::core::Result;

/// This thread's use of COM; it ends with the value, after all objects.
struct Com;

impl Com {
    fn begin() -> Result<Self> {
        // SAFETY: the threads of the senses are our own, and none of them uses COM in another way.
        unsafe { CoInitializeEx(None, COINIT_MULTITHREADED).ok()? };
        Ok(Self)
    }
}

impl Drop for Com {
    fn drop(&mut self) {
        // SAFETY: ends what `begin` began, in the same thread: a `Com` never leaves the function that made it.
        unsafe { CoUninitialize() };
    }
}

/// The flags of `NLM_CONNECTION_COST` for this machine's way to the internet.
pub(in crate::windows) fn connection_cost() -> Result<u32> {
    let _com = Com::begin()?;
    // SAFETY: COM is in use in this thread, and the class is one that makes such objects.
    let manager: INetworkCostManager = unsafe { CoCreateInstance(&NetworkListManager, None, CLSCTX_ALL)? };
    let mut cost = 0;
    // SAFETY: `cost` is ours; no address means the machine as a whole.
    unsafe { manager.GetCost(&raw mut cost, ptr::null())? };
    Ok(cost)
}
