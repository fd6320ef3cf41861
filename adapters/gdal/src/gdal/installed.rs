//! What GDAL finds on the machine: its data, the system's coordinate database, and where it may put temporary files.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Parts the two coordinate libraries of this process, GDAL keeps the system's database, ours its own embedded one; and
/// sends temporary files of every library to `scratch`. `SQLite` does not count its memory, for which it locks at every piece.
///
/// Both coordinate libraries look for `proj.db` where the environment says. So the environment is made to name a folder
/// without one, after GDAL was told where the system's is.
///
/// Call it first in `main`, while the process has one thread.
pub fn prepare_libraries(empty_folder: &Path, scratch: &Path) {
    // SAFETY: there is no other thread yet that could read the environment or use SQLite; the list of paths is GDAL's own,
    // handed back to it, and freed once.
    unsafe {
        // Where it is in use already it says no, and goes on counting.
        rusqlite::ffi::sqlite3_config(rusqlite::ffi::SQLITE_CONFIG_MEMSTATUS, 0);
        let paths = gdal_sys::OSRGetPROJSearchPaths();
        std::env::set_var("PROJ_DATA", empty_folder);
        std::env::remove_var("PROJ_LIB");
        std::env::set_var("PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY", "YES");
        std::env::set_var("PROJ_NETWORK", "OFF");
        std::env::set_var("TMPDIR", scratch);
        std::env::set_var("SQLITE_TMPDIR", scratch);
        // A file of settings at the sender's or the operator's home decides nothing here.
        std::env::set_var("GDAL_CONFIG_FILE", "");
        gdal_sys::OSRSetPROJSearchPaths(paths.cast_const().cast());
        gdal_sys::CSLDestroy(paths);
    }
}

/// Files of the system that the libraries read while they work: coordinate systems, GDAL's tables, character sets,
/// time zones, and the list of libraries by which the character sets are found.
///
/// Call it after [`prepare_libraries`].
pub fn installed_files() -> Vec<PathBuf> {
    let character_sets = format!("/usr/lib/{}-linux-gnu/gconv", std::env::consts::ARCH);
    let named =
        [character_sets.as_str(), "/usr/lib64/gconv", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo"];
    let mut found: Vec<PathBuf> = named.into_iter().map(PathBuf::from).collect();
    found.extend(coordinate_folders());
    found.extend(data_folder());
    found
}

/// Where GDAL looks for the coordinate database.
fn coordinate_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    // SAFETY: the list and its C strings are ours until it is freed, once; a null pointer ends it.
    unsafe {
        let paths = gdal_sys::OSRGetPROJSearchPaths();
        let mut path = paths;
        while !path.is_null() && !(*path).is_null() {
            folders.push(owned(CStr::from_ptr(*path)));
            path = path.add(1);
        }
        gdal_sys::CSLDestroy(paths);
    }
    folders
}

/// The folder of GDAL's own tables.
fn data_folder() -> Option<PathBuf> {
    // SAFETY: both texts are C strings; the answer is null or a C string that lives until the next call on this thread.
    let table = unsafe {
        let found = gdal_sys::CPLFindFile(c"gdal".as_ptr(), c"header.dxf".as_ptr());
        if found.is_null() { None } else { Some(owned(CStr::from_ptr(found))) }
    };
    table?.parent().map(Path::to_owned)
}

fn owned(path: &CStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}
