"""Use cases of the order desk: intake, creation in Magento, shipping, rejection, following."""
