"""DICOM at the edge: the network's services, and the objects that results are; the only importer of pydicom and pynetdicom."""
