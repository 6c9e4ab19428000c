//! From an ImageSet to a wish: releases, catalogs and charts become images.
