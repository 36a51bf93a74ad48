"""DICOM objects made from other DICOM objects: wrapped, unwrapped, marked, transcoded."""
