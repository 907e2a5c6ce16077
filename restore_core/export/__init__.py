"""Results to files, whole or not at all.

    pictures   PNG, JPEG, WebP that carry profile, camera data, transparency, 16 bits and the settings
    metadata   what of these is kept, and read_settings: any result can be made again
    films      numbered pictures, GIF, MP4, zip
    sheet      pictures side by side over their names, as one picture
    page       one page of HTML with everything inside
    report     what such a page says of a run, a comparison, a sweep
    writing    the last step of all of them
"""

from restore_core.export.films import (
    FrameFolder,
    beside,
    check_film,
    save_film,
    save_gif,
    save_mp4,
    save_zip,
)
from restore_core.export.metadata import clean_exif, parse_settings, read_settings
from restore_core.export.pictures import (
    check_writable,
    data_uri,
    encode_jpeg,
    encode_png,
    kind_of,
    png_uri,
    save,
)
from restore_core.export.report import Measured, run_report, runs_report, save_report
from restore_core.export.sheet import Cell, contact_sheet
from restore_core.export.writing import (
    append_line,
    cannot_write,
    check_folder_of,
    make_folder,
    save_json,
    write_whole,
)

__all__ = [
    "Cell",
    "FrameFolder",
    "Measured",
    "append_line",
    "beside",
    "cannot_write",
    "check_film",
    "check_folder_of",
    "check_writable",
    "clean_exif",
    "contact_sheet",
    "data_uri",
    "encode_jpeg",
    "encode_png",
    "kind_of",
    "make_folder",
    "parse_settings",
    "png_uri",
    "read_settings",
    "run_report",
    "runs_report",
    "save",
    "save_film",
    "save_gif",
    "save_json",
    "save_mp4",
    "save_report",
    "save_zip",
    "write_whole",
]
