"""DICOM at the edge: the network's services and the objects that results are; alone imports pydicom and pynetdicom."""
